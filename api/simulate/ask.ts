import { coveringWildcards, serviceHost } from '#api/model/host.ts'
import { selects } from '#api/model/labels.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { ExplainRequest } from '#core/contract/explain.ts'
import { explain, type Question } from '#core/explain/trace.ts'
import type { TokenDoor } from '#core/explain/tokens.ts'
import type { Trail } from '#core/explain/trail.ts'
import { fault, Faults } from '#core/fault/fault.ts'
import { isAddress } from '#core/match/cidr.ts'
import { requestFrom, type RequestHead } from '#core/route/request.ts'
import { familiesOf } from '#core/workload/families.ts'
import { formatSocketAddress } from '#core/workload/node-message.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { Workload } from '#core/workload/workload.ts'
import { gatewayOf, type World } from './world.ts'

/** Some address that no service has (RFC 5737): where a name leads that nothing in the mesh knows. */
const ELSEWHERE = '198.51.100.1'

/** What is called, taken apart. */
interface Called {
  readonly tokens: { readonly tokens?: TokenDoor }
  readonly host: string
  readonly port: number
  /** Undefined: bytes that are no HTTP. */
  readonly request: RequestHead | undefined
  readonly tls: Question['tls']
}

/**
 * One question, asked of a world: through the caller's proxy, and then through that of the first endpoint it leads to.
 * @param node the caller's proxy as it describes itself, where it is known
 * @param tokens what tokens of the request are judged by; absent: none is looked at
 * @throws Faults 'object.not-found' when there is no such workload or gateway, 'request.invalid' for a URL that is none
 */
export function ask(world: World, asked: ExplainRequest, node?: ProxyNode, tokens?: TokenDoor): Trail {
  const called = calledIn(asked, tokens)
  const { from } = asked
  if (from === 'outside') return fromOutside(world, asked, called)
  if (from.startsWith('gateway:')) return throughGateway(world, asked, called, ...named(from.slice('gateway:'.length), 'from'), node)
  const workload = workloadNamed(world, from)
  const plans = world.plansOf(node ?? world.sidecarOf(workload))
  const namespace = workload.namespace
  const reader = world.model.read(() => {}).within(node?.dnsCapture === true ? { client: namespace, allocated: familiesOf(node) } : undefined)
  const explicit = node === undefined ? world.isExplicit(workload) : node.outbound !== undefined
  return bothSides(world, {
    client: plans,
    server: undefined,
    request: called.request,
    port: asked.port ?? called.port,
    identity: world.identityOf(workload),
    address: workload.address,
    ...called.tokens, ...(called.tls === undefined ? {} : { tls: called.tls }),
    ...(explicit ? {} : { destination: asked.address ?? addressOf(reader, called.host, namespace) }),
  })
}

function calledIn(asked: ExplainRequest, tokens: TokenDoor | undefined): Called {
  let url: URL
  try {
    // Only web schemes are taken apart alike by every implementation of the URL standard.
    url = new URL(asked.url.replace(/^(tcp|tls):/, 'http:'))
  } catch {
    throw new Faults([fault('request.invalid', { path: 'url', value: asked.url, rule: 'http://HOST[:PORT]/PATH or tcp://HOST:PORT' })])
  }
  const scheme = asked.url.slice(0, asked.url.indexOf(':'))
  if (!['http', 'https', 'tcp', 'tls'].includes(scheme)) throw new Faults([fault('request.invalid', { path: 'url', value: asked.url, rule: 'a URL of http, https, tcp or tls' })])
  // Proxies match it by other rules than paths; following it by theirs would tell what does not happen.
  if (asked.method?.toUpperCase() === 'CONNECT') throw new Faults([fault('request.invalid', { path: 'method', value: asked.method, rule: 'a method other than CONNECT, whose tunnels are not followed: ask for what goes through the tunnel' })])
  const secure = scheme === 'https' || scheme === 'tls'
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port)
  const alpn = asked.alpn ?? (scheme === 'https' ? ['h2', 'http/1.1'] : [])
  const hostHeader = Object.entries(asked.headers ?? {}).find(([name]) => name.toLowerCase() === 'host')?.[1]
  const request =
    scheme === 'tcp' || scheme === 'tls'
      ? undefined
      : requestFrom({ method: asked.method ?? 'GET', authority: hostHeader ?? url.host, path: pathIn(asked.url), scheme: scheme === 'https' ? 'https' : 'http', headers: asked.headers ?? {} })
  const tls = secure || asked.tls !== undefined ? { sni: asked.sni ?? (isAddress(host) ? '' : host), alpn, withIdentity: asked.tls === 'mtls' } : undefined
  return { host, port, request, tls, tokens: tokens === undefined ? {} : { tokens } }
}

/** Path and query of a URL as they are written: what a browser would straighten out first, others send as it stands. */
export function pathIn(url: string): string {
  const written = /^[a-z]+:\/\/[^/?#]*([^#]*)/i.exec(url)?.[1] ?? ''
  if (/^\/[\x21-\x7e]*$/.test(written)) return written
  const { pathname, search } = new URL(url.replace(/^(tcp|tls):/, 'http:'))
  return `${pathname}${search}`
}

function named(text: string, path: string): [name: string, namespace: string] {
  const dot = text.lastIndexOf('.')
  if (dot <= 0 || dot === text.length - 1) throw new Faults([fault('request.invalid', { path, value: text, rule: 'NAME.NAMESPACE' })])
  return [text.slice(0, dot), text.slice(dot + 1)]
}

function workloadNamed(world: World, text: string): Workload {
  const [name, namespace] = named(text, 'from')
  const found = world.workload(namespace, name)
  if (found !== undefined) return found
  const known = [...world.model.workloads()].map((one) => `${one.name}.${one.namespace}`).sort().slice(0, 10)
  throw new Faults([fault('object.not-found', { path: 'from', value: text, rule: 'a workload of the mesh, NAME.NAMESPACE', ...(known.length === 0 ? {} : { hint: `there are ${known.join(', ')}` }) })])
}

/** The service that a caller in a namespace means by a host, its own short names included. */
function hostOf(reader: MeshReader, host: string, namespace: string): string | undefined {
  const name = host.toLowerCase().replace(/\.$/, '')
  const [first = '', second = ''] = name.split('.')
  const candidates = [name, ...(name.includes('.') ? [] : [serviceHost(name, namespace)]), ...(/^[^.]+\.[^.]+(\.svc)?$/.test(name) ? [serviceHost(first, second)] : [])]
  return candidates.find((one) => reader.service(one, namespace) !== undefined) ?? coveringWildcards(name).find((one) => reader.service(one, namespace) !== undefined)
}

/** What the name resolves to for an application in a namespace. */
export function addressOf(reader: MeshReader, host: string, namespace: string): string {
  if (isAddress(host)) return host
  const service = hostOf(reader, host, namespace)
  const found = service === undefined ? undefined : reader.service(service, namespace)
  if (found === undefined) return ELSEWHERE
  return found.addresses.find((one) => isAddress(one)) ?? reader.workloadsOf(found)[0]?.address ?? ELSEWHERE
}

/** Asks the caller's side, finds out whose proxy is behind the first endpoint, and asks both. */
function bothSides(world: World, question: Question): Trail {
  const departed = explain(question)
  if (departed.outcome !== 'routed') return departed
  const callee = departed.to.flatMap((target) => target.endpoints).map((key) => world.workloadAt(key)).find((one) => one !== undefined)
  return callee === undefined || !callee.workload.mutualTls ? departed : explain({ ...question, server: world.plansOf(world.sidecarOf(callee.workload)) })
}

/** A caller without a proxy: straight to the workload whose address it dials, to one behind the host, or to whichever gateway takes the request. */
function fromOutside(world: World, asked: ExplainRequest, called: Called): Trail {
  const reader = world.model.read(() => {})
  const host = hostOf(reader, called.host, '')
  const service = host === undefined ? undefined : reader.service(host, '')
  const port = asked.port ?? called.port
  const reaching = (workload: Workload, at: { readonly address: string; readonly port: number }): Trail =>
    explain({ client: undefined, server: world.plansOf(world.sidecarOf(workload)), request: called.request, port, at, ...called.tokens, ...(called.tls === undefined ? {} : { tls: called.tls }) })
  const { address } = asked
  const addressed = address === undefined ? undefined : world.workloadAt(formatSocketAddress({ address, port }))
  if (address !== undefined && addressed !== undefined) return reaching(addressed.workload, { address, port })
  if (service !== undefined && service.kind === 'Service') {
    const target = service.ports.find((one) => one.port === port)?.targetPort
    for (const workload of reader.workloadsOf(service)) {
      const at = workload.ports.find((one) => one.port === target || one.name === target)?.listen ?? (typeof target === 'number' ? { address: workload.address, port: target } : undefined)
      if (at !== undefined) return reaching(workload, at)
    }
  }
  const answers = world.gateways().map((one) => atGateway(world, asked, called, { ...one, name: 'gateway' }))
  const rank = (trail: Trail): number => (trail.outcome === 'refused' ? 2 : trail.outcome === 'not-found' ? 1 : 0)
  const [best] = answers.sort((a, b) => rank(a) - rank(b))
  if (best !== undefined) return best
  throw new Faults([fault('object.not-found', { path: 'url', value: called.host, rule: 'a service of the mesh, or a host that a gateway serves' })])
}

/** The gateway process of that name, or any that a Gateway of that name selects. */
function throughGateway(world: World, asked: ExplainRequest, called: Called, name: string, namespace: string, node?: ProxyNode): Trail {
  const workload = world.workload(namespace, name)
  const labels = workload?.labels ?? world.gatewayLabels(namespace, name)
  if (labels === undefined) throw new Faults([fault('object.not-found', { path: 'from', value: `${name}.${namespace}`, rule: 'a gateway, by the name of its workload or of a Gateway' })])
  return atGateway(world, asked, called, { name, namespace, labels }, node)
}

/** A gateway's own process, where there is one with such labels, says where it runs and who it is. */
function atGateway(world: World, asked: ExplainRequest, called: Called, of: { readonly name: string; readonly namespace: string; readonly labels: Workload['labels'] }, running?: ProxyNode): Trail {
  const process = world.workload(of.namespace, of.name) ?? [...world.model.workloads()].find((one) => selects(of.labels, one.labels))
  const node = running ?? gatewayOf(process === undefined ? of : { name: process.name, namespace: process.namespace, labels: process.labels, address: process.address })
  const identity = world.identityOf(process ?? { namespace: of.namespace, serviceAccount: of.name })
  // Servers may have addresses of their own.
  const destination = asked.address ?? process?.address
  return bothSides(world, { client: world.plansOf(node), server: undefined, request: called.request, port: asked.port ?? called.port, identity, ...(destination === undefined ? {} : { destination }), ...called.tokens, ...(called.tls === undefined ? {} : { tls: called.tls }) })
}
