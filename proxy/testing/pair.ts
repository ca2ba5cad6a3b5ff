import { generateKeyPairSync } from 'node:crypto'
import type { TestContext } from 'node:test'
import type { ClientTlsPlan, ClusterPlan } from '#core/plan/cluster.ts'
import type { EndpointPlan } from '#core/plan/endpoints.ts'
import type { ServerTlsPlan } from '#core/plan/listener.ts'
import type { ForwardAction } from '#core/plan/route.ts'
import type { Log } from '../admin/log.ts'
import { Secrets } from '../identity/secrets.ts'
import { createAuthority } from './authority.ts'
import type { Authority } from './authority.ts'
import { startProxy } from './peers.ts'
import type { TestProxy } from './peers.ts'
import { chainPlan, forward, httpPlan, listenerPlan, routePlan, tablePlan } from './plan.ts'

const quiet: Log = { level: 'off', debug() {}, info() {}, warn() {}, error() {} }
export const uriOf = (account: string): string => `spiffe://cluster.local/ns/prod/sa/${account}`

/** A workload's certificate and roots, as its proxy holds them. */
export function secretsOf(authority: Authority, account: string): Secrets {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const secrets = new Secrets(quiet)
  const nowMs = Date.now()
  secrets.put({ kind: 'certificate', name: 'default', version: '1', chainPem: authority.issue(publicKey, { uri: uriOf(account) }, nowMs - 60_000, nowMs + 3_600_000), keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() })
  secrets.put({ kind: 'trust', name: 'ROOTCA', version: '1', rootsPem: authority.rootPem })
  return secrets
}

export interface PairOptions {
  /** ALPN that the called side takes, and that the caller offers; both protocols by default. */
  readonly serves?: readonly string[]
  readonly offers?: readonly string[]
  /** The called side's way to its application. */
  readonly app?: Partial<ClusterPlan>
  /** The caller's route. */
  readonly route?: Partial<ForwardAction>
  /** The called side's sidecar, by its port on 127.0.0.1, as the caller knows it. */
  readonly endpoint?: (port: number) => EndpointPlan
  /** Path prefixes that the caller's sidecar knows; all by default. */
  readonly paths?: readonly string[]
}

const BOTH = ['h2', 'http/1.1']

/** Two sidecars with mutual TLS between them, checkout's and order's, in front of an application. */
export async function startPair(t: TestContext, appPort: number, options: PairOptions = {}): Promise<{ readonly before: TestProxy; readonly behind: TestProxy; readonly authority: Authority }> {
  const authority = createAuthority()
  const serverTls: ServerTlsPlan = { certificates: ['default'], trust: 'ROOTCA', requireClientCertificate: true, allowedSans: [], alpn: options.serves ?? BOTH, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' }
  const clientTls: ClientTlsPlan = { certificate: 'default', trust: 'ROOTCA', allowedSans: [{ words: 'order', matches: (name) => name === uriOf('order') }], sni: 'outbound_.8080_._.order.prod.svc.cluster.local', alpn: options.offers ?? BOTH }
  const inbound = httpPlan(tablePlan([routePlan('/', forward('app'))]), { clientCertificateHeader: 'append', accessLog: [{ path: '/dev/stdout', json: true, fields: [] }] })
  const chain = chainPlan(inbound, { match: { destinationPort: undefined, serverNames: [], transportProtocol: 'tls', applicationProtocols: [] }, tls: serverTls })
  const behind = await startProxy(t, { listener: listenerPlan('inbound', [chain], { direction: 'inbound', inspectsTls: true }), clusters: [['app', [appPort], options.app ?? {}]], secrets: secretsOf(authority, 'order') })
  const before = await startProxy(t, {
    routes: (options.paths ?? ['/']).map((path) => routePlan(path, forward('order', options.route))),
    clusters: [['order', [options.endpoint?.(behind.port) ?? behind.port], { protocol: 'alpn', transports: [{ name: 'mtls', match: {}, tls: clientTls }] }]],
    secrets: secretsOf(authority, 'checkout'),
  })
  return { before, behind, authority }
}
