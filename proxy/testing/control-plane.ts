import { generateKeyPairSync } from 'node:crypto'
import { create, type DescMessage, type MessageInitShape } from '@bufbuild/protobuf'
import { durationFromMs } from '@bufbuild/protobuf/wkt'
import * as grpc from '@grpc/grpc-js'
import { packAny } from '#core/wire/any.ts'
import { encodeCanonical, contentHash } from '#core/wire/encode.ts'
import { type DeltaDiscoveryRequest, type DeltaDiscoveryResponse, DeltaDiscoveryResponseSchema, type DiscoveryRequest, type DiscoveryResponse, DiscoveryResponseSchema } from '#core/wire/gen/envoy/service/discovery/v3/discovery_pb.ts'
import { type IstioCertificateRequest, type IstioCertificateResponse, IstioCertificateResponseSchema } from '#core/wire/gen/istio/v1/auth/ca_pb.ts'
import { ProxyConfigSchema } from '#core/wire/gen/istio/mesh/v1alpha1/proxy_pb.ts'
import { LoadReportingService, type LoadStatsRequest, type LoadStatsResponse, LoadStatsResponseSchema } from '#core/wire/gen/envoy/service/load_stats/v3/lrs_pb.ts'
import { ads, defineTypedMethod, fetchProxyConfig, istioCa, methodsOf } from '#core/wire/grpc.ts'
import { isTypeUrl, type TypeUrl, typeUrlOf } from '#core/wire/type-url.ts'
import type { RawResource } from '../ads/raw-resources.ts'
import { createAuthority, publicKeyOf } from './authority.ts'

const wrap = (bytes: Uint8Array<ArrayBuffer>): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
const deltaAds = defineTypedMethod(ads.deltaAggregatedResources, wrap)
const createCertificate = defineTypedMethod(istioCa.createCertificate, wrap)
const proxyConfig = defineTypedMethod(fetchProxyConfig, wrap)
const streamLoadStats = defineTypedMethod(methodsOf(LoadReportingService).streamLoadStats, wrap)

type Stream = grpc.ServerDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>

interface Session {
  readonly stream: Stream
  /** SPIFFE URI of the client's certificate; empty without one. */
  readonly uri: string
  readonly subscribed: Map<string, Set<string>>
  nodeId: string
}

/**
 * A control plane for tests of the proxy by itself, which may not import the real one: signs requests that bear the token, and serves resources by delta ADS over TLS.
 * It shows what it was sent, and does as it is told.
 */
export class TestControlPlane {
  readonly authority = createAuthority()
  readonly token = 'weft_join_test'
  readonly requests: DeltaDiscoveryRequest[] = []
  readonly sessions = new Set<Session>()
  readonly credentials: string[] = []
  /** Load reports, as they came; asked for each 100 ms. */
  readonly loads: LoadStatsRequest[] = []
  /** What proxies start with; undefined: it is a control plane that knows of no such question. */
  settings: MessageInitShape<typeof ProxyConfigSchema> | undefined
  /** Times that it was asked. */
  settingsAsked = 0
  /** Times that it will not answer. */
  settingsUnavailable = 0
  lifetimeMs = 3_600_000
  revision = 1
  /** Streams that the proxy closed, saying goodbye. */
  goodbyes = 0
  port = 0
  readonly #resources = new Map<TypeUrl, Map<string, RawResource>>()
  readonly #waiting = new Set<() => void>()
  #server = new grpc.Server()
  #nonce = 0

  get target(): string {
    return `127.0.0.1:${this.port}`
  }

  async start(): Promise<void> {
    const server = new grpc.Server()
    this.#server = server
    server.addService({ createCertificate }, {
      createCertificate: (call: grpc.ServerUnaryCall<IstioCertificateRequest, IstioCertificateResponse>, reply: grpc.sendUnaryData<IstioCertificateResponse>) => this.#sign(call, reply),
    })
    server.addService({ deltaAds }, { deltaAds: (stream: Stream) => this.#serve(stream) })
    server.addService({ proxyConfig }, {
      proxyConfig: (_: grpc.ServerUnaryCall<DiscoveryRequest, DiscoveryResponse>, reply: grpc.sendUnaryData<DiscoveryResponse>) => {
        this.settingsAsked += 1
        if (this.settingsUnavailable > 0) {
          this.settingsUnavailable -= 1
          reply({ code: grpc.status.UNAVAILABLE, details: 'not now' })
        } else if (this.settings === undefined) reply({ code: grpc.status.UNIMPLEMENTED, details: 'unknown method' })
        else reply(null, create(DiscoveryResponseSchema, { resources: [packAny(ProxyConfigSchema, create(ProxyConfigSchema, this.settings))] }))
        this.#tell()
      },
    })
    server.addService({ streamLoadStats }, { streamLoadStats: (call: grpc.ServerDuplexStream<LoadStatsRequest, LoadStatsResponse>) => this.#hear(call) })
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const certificate = Buffer.from(this.authority.issue(publicKey, { address: '127.0.0.1' }, Date.now() - 60_000, Date.now() + 3_600_000))
    const key = Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' }))
    // grpc-js loses what it is told while it is still subscribing.
    const provider: grpc.experimental.CertificateProvider = {
      addCaCertificateListener: (listener) => queueMicrotask(() => listener({ caCertificate: Buffer.from(this.authority.rootPem) })),
      removeCaCertificateListener() {},
      addIdentityCertificateListener: (listener) => queueMicrotask(() => listener({ certificate, privateKey: key })),
      removeIdentityCertificateListener() {},
    }
    const credentials = grpc.experimental.createCertificateProviderServerCredentials(provider, provider, false)
    this.port = await new Promise((resolve, reject) => {
      server.bindAsync(`127.0.0.1:${this.port}`, credentials, (error, bound) => (error ? reject(error) : resolve(bound)))
    })
  }

  /** Gone at once, as after a crash. `start` brings it back on its port. */
  stop(): void {
    this.sessions.clear()
    this.#server.forceShutdown()
  }

  /** Puts a resource and sends it to whoever wants it. Each call is a revision. */
  put<Desc extends DescMessage>(schema: Desc, name: string, message: MessageInitShape<Desc>): void {
    const bytes = encodeCanonical(schema, create(schema, message))
    this.putBytes(typeUrlOf(schema), { name, version: contentHash(bytes), bytes })
  }

  putBytes(type: string, resource: RawResource): void {
    if (!isTypeUrl(type)) throw new Error(`unknown type ${type}`)
    const known = this.#resources.get(type) ?? new Map<string, RawResource>()
    this.#resources.set(type, known.set(resource.name, resource))
    this.revision += 1
    for (const session of this.sessions) if (this.#wants(session, type, resource.name)) this.#send(session, type, [resource], [])
  }

  remove(type: TypeUrl, name: string): void {
    this.#resources.get(type)?.delete(name)
    this.revision += 1
    for (const session of this.sessions) if (this.#wants(session, type, name)) this.#send(session, type, [], [name])
  }

  /** Resolves once `happened` says true; asked again after each request and each end of a stream. */
  until(happened: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!happened()) return
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
      look()
    })
  }

  #tell(): void {
    for (const look of [...this.#waiting]) look()
  }

  #sign(call: grpc.ServerUnaryCall<IstioCertificateRequest, IstioCertificateResponse>, reply: grpc.sendUnaryData<IstioCertificateResponse>): void {
    const uri = uriOf(call.getAuthContext().sslPeerCertificate)
    const byToken = call.metadata.get('authorization')[0] === `Bearer ${this.token}`
    this.credentials.push(uri !== '' ? 'certificate' : byToken ? 'token' : 'none')
    if (uri === '' && !byToken) {
      reply({ code: grpc.status.UNAUTHENTICATED, details: 'no credential' })
      return
    }
    const wanted = /URI:(spiffe:[^,\s]+)/.exec(uri)?.[1] ?? uriInRequest(call.request.csr)
    const leaf = this.authority.issue(publicKeyOf(call.request.csr), { uri: wanted }, Date.now() - 60_000, Date.now() + this.lifetimeMs)
    reply(null, create(IstioCertificateResponseSchema, { certChain: [leaf, this.authority.rootPem] }))
    this.#tell()
  }

  #serve(stream: Stream): void {
    const session: Session = { stream, uri: uriOf(stream.getAuthContext().sslPeerCertificate), subscribed: new Map(), nodeId: '' }
    if (session.uri === '') {
      stream.emit('error', { code: grpc.status.UNAUTHENTICATED, details: 'no certificate' })
      return
    }
    this.sessions.add(session)
    stream.on('data', (request: DeltaDiscoveryRequest) => {
      this.requests.push(request)
      if (request.node) session.nodeId = request.node.id
      this.#answer(session, request)
      this.#tell()
    })
    stream.on('end', () => {
      this.sessions.delete(session)
      // A cancelled stream ends too, and says so a moment later.
      setImmediate(() => {
        if (!stream.cancelled) this.goodbyes += 1
        stream.end()
        this.#tell()
      })
    })
    stream.on('cancelled', () => {
      this.sessions.delete(session)
      this.#tell()
    })
  }

  #hear(call: grpc.ServerDuplexStream<LoadStatsRequest, LoadStatsResponse>): void {
    call.write(create(LoadStatsResponseSchema, { sendAllClusters: true, reportEndpointGranularity: true, loadReportingInterval: durationFromMs(100) }))
    call.on('data', (report: LoadStatsRequest) => {
      this.loads.push(report)
      this.#tell()
    })
    call.on('end', () => call.end())
  }

  #answer(session: Session, request: DeltaDiscoveryRequest): void {
    const type = request.typeUrl
    if (!isTypeUrl(type)) return
    const first = !session.subscribed.has(type)
    const names = session.subscribed.get(type) ?? new Set<string>()
    session.subscribed.set(type, names)
    for (const name of request.resourceNamesSubscribe) names.add(name)
    for (const name of request.resourceNamesUnsubscribe) names.delete(name)
    // Envoy asks for everything by asking for nothing at first.
    const legacy = first && names.size === 0 && request.resourceNamesSubscribe.length === 0
    if (legacy) names.add('*')
    const asked = legacy ? ['*'] : request.resourceNamesSubscribe
    if (asked.length === 0) return
    const held = new Map(Object.entries(request.initialResourceVersions))
    const all = this.#resources.get(type) ?? new Map<string, RawResource>()
    const wanted = asked.includes('*') ? [...all.values()] : asked.flatMap((name) => all.get(name) ?? [])
    const removed = [...held.keys()].filter((name) => !all.has(name))
    const changed = wanted.filter(({ name, version }) => held.get(name) !== version)
    if (first || changed.length + removed.length > 0) this.#send(session, type, changed, removed)
  }

  #wants(session: Session, type: string, name: string): boolean {
    const names = session.subscribed.get(type)
    return names !== undefined && (names.has('*') || names.has(name))
  }

  #send(session: Session, type: TypeUrl, resources: readonly RawResource[], removed: readonly string[]): void {
    session.stream.write(
      create(DeltaDiscoveryResponseSchema, {
        systemVersionInfo: String(this.revision),
        typeUrl: type,
        nonce: String(++this.#nonce),
        resources: resources.map(({ name, version, bytes }) => ({ name, version, resource: { typeUrl: type, value: bytes } })),
        removedResources: [...removed],
      }),
    )
  }
}

const uriOf = (certificate: { subjectaltname?: string | undefined } | undefined): string => certificate?.subjectaltname ?? ''

/** The SPIFFE ID in a request that a proxy of ours made. */
function uriInRequest(csrPem: string): string {
  const der = Buffer.from(csrPem.replace(/-----[^-]+-----/g, ''), 'base64')
  const start = der.indexOf('spiffe://')
  return der.toString('latin1', start, start + (der[start - 1] ?? 0))
}
