import { X509Certificate } from 'node:crypto'
import { rulePolicies } from '#api/model/index-entries.ts'
import { selects } from '#api/model/labels.ts'
import { makeRoot, readAuthority, type Authority } from '#api/ca/root.ts'
import { serverCertificate } from '#api/ca/sign.ts'
import { credentialNames } from '#api/translate/secret.ts'
import { workloadFrom } from '#api/simulate/workload-words.ts'
import { gatewayOf, sidecarOf, type World, worldOf } from '#api/simulate/world.ts'
import type { RequestsFile, WorkloadWords } from '#core/contract/requests-file.ts'
import type { DestinationRuleSpec } from '#core/resource/destination-rule.ts'
import type { GatewaySpec } from '#core/resource/gateway.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import type { SidecarSpec } from '#core/resource/sidecar.ts'
import type { Doors } from '#core/time/clock.ts'
import { familiesOf, loopbacksOf } from '#core/workload/families.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { Workload, WorkloadPort } from '#core/workload/workload.ts'
import { worldSettings } from '../offline.ts'
import { makeTokens, type Tokens } from '../tokens.ts'
import { type AddressBlock, claimBlock } from './address-block.ts'
import { Applications } from './applications.ts'
import { type CertificateFiles, writeCertificates } from './certificate-files.ts'
import { revocationList } from './revocation-list.ts'
import type { CaseControlPlane, JoinableMesh } from './control-plane.ts'
import { type Host, Hosts, thisMachine } from './hosts.ts'
import { type EngineParts, LiveProxy } from './live-proxy.ts'

const OUTBOUND_PORT = 15_001
const INBOUND_PORT = 15_006
/** Where nothing says otherwise. What comes is not delayed by it. */
export const PATIENCE_MS = 60_000
/** Below this, a port needs privileges; gateways are given another. */
const PRIVILEGED = 1024
const GATEWAY_PORT_OFFSET = 20_000
/** Of gateways that no workload serves, where hosts have addresses of their own (RFC 2544; workloads have the lower half). */
const UNNAMED_GATEWAYS = '198.19.0'

/** A certificate for gateways, and one for clients that show one, from one authority that `ca.crt` names. */
interface Certificates {
  readonly server: { readonly certificate: string; readonly privateKey: string }
  readonly client: { readonly certificate: string; readonly privateKey: string }
  readonly other: { readonly certificate: string; readonly privateKey: string }
  /** Of the client's name, from an authority that nobody trusts. */
  readonly stranger: { readonly certificate: string; readonly privateKey: string }
  /** Of an application whose certificate was taken back. */
  readonly revoked: { readonly certificate: string; readonly privateKey: string }
}

/** Another engine than that of the rest, and the workloads, by name, that it serves. */
export interface OtherParts {
  readonly parts: EngineParts
  readonly names: readonly string[]
}

/** A configuration and its workloads at work: an application each, and a proxy for each that calls or that a proxy stands in front of. */
export class LiveCase {
  readonly world: World
  readonly applications: Applications
  readonly certificates: Certificates
  readonly tokens: Tokens
  /** How long whatever must come is waited for. */
  readonly patienceMs: number
  /** What look-ups are answered where traffic is captured. */
  readonly names: ReadonlyMap<string, readonly string[]>
  readonly #plane: CaseControlPlane
  /** On loopback, where applications speak to their proxies. */
  readonly #block: AddressBlock | undefined
  /** Where traffic is captured: a host each. */
  readonly #hosts: Hosts | undefined
  readonly #mesh: JoinableMesh
  readonly #proxies = new Map<string, LiveProxy>()
  readonly #files: CertificateFiles

  private constructor(of: { world: World; applications: Applications; certificates: Certificates; tokens: Tokens; plane: CaseControlPlane; block: AddressBlock | undefined; hosts: Hosts | undefined; names: ReadonlyMap<string, readonly string[]>; files: CertificateFiles; patienceMs: number }) {
    this.patienceMs = of.patienceMs
    this.#files = of.files
    this.world = of.world
    this.applications = of.applications
    this.certificates = of.certificates
    this.tokens = of.tokens
    this.#plane = of.plane
    this.#block = of.block
    this.#hosts = of.hosts
    this.names = of.names
    this.#mesh = of.plane.add(of.world)
  }

  /**
   * Resolves when every proxy has its configuration and listens.
   * @param captured each workload on a host of its own, at the address that the file gives it, where its proxy captures what applications say
   * @throws Error with the words of the proxy that does not get there
   */
  static async start(doors: Doors, plane: CaseControlPlane, parts: EngineParts, about: RequestsFile, configuration: readonly ResourceObject[], { captured = false, patienceMs = PATIENCE_MS, others }: { readonly captured?: boolean; readonly patienceMs?: number; readonly others?: OtherParts | undefined } = {}): Promise<LiveCase> {
    const block = captured ? undefined : await claimBlock(doors.random.draw)
    const addressAt = (words: WorkloadWords, index: number): string => block?.at(index) ?? workloadFrom(words, index).address
    const authority = readAuthority(makeRoot({ organization: 'weft test', nowMs: doors.clock.wallMs() }))
    const stranger = readAuthority(makeRoot({ organization: 'nobody', nowMs: doors.clock.wallMs() }))
    const words = about.workloads ?? []
    // What a Gateway of the Gateway API amounts to is served by processes of its own.
    const derived = [...worldOf({ objects: configuration, workloads: [] }).model.derivedObjects()].map((one) => one.object)
    const gateways = [...configuration, ...derived].filter(isGatewayObject)
    const certificates = certificatesOf(authority, stranger, gateways, doors.clock.wallMs())
    const files = writeCertificates({ 'root.pem': authority.certificate, 'stranger.pem': stranger.certificate, 'client.pem': certificates.client.certificate, 'client-key.pem': certificates.client.privateKey, 'server.pem': certificates.server.certificate, 'server-key.pem': certificates.server.privateKey, 'revoked.crl': revocationList(authority, [certificates.other.certificate, certificates.revoked.certificate], doors.clock.wallMs()) })
    const tokens = makeTokens(about.tokens, doors.clock.wallMs())
    const services = configuration.filter((one) => one.kind === 'Service')
    const isGateway = (one: WorkloadWords): boolean => gateways.some((object) => Object.keys(selectorOf(object) ?? {}).length > 0 && selects(selectorOf(object), one.labels ?? {}))
    const placed = words.map((one, index) => ({ words: one, gateway: isGateway(one), workload: place(one, addressAt(one, index), isGateway(one) ? [] : portsOf(one, services), captured) }))
    const addresses = new Map(placed.flatMap(({ words: { address }, workload }) => (address === undefined ? [] : [[address, workload.address] as const])))
    const objects = withCredentials(configuration.map((one) => withTexts(one, files)), authority.certificate, certificates, about.missing).map((one) => moved(one, (text) => addresses.get(text) ?? files.place(tokens.withKeys(text))))
    const world = worldOf({ objects, workloads: placed.map((one) => one.workload), ...worldSettings(about) })
    const applications = new Applications(certificates.server, tokens.jwks)
    const callers = new Set((about.tests ?? []).filter((one) => one.routerOnly === undefined).map((one) => one.from))
    const nodes = placed.flatMap(({ workload, gateway }): ProxyNode[] => {
      if (gateway) return [gatewayNode(workload, gateways, captured)]
      const calls = callers.has(`${workload.name}.${workload.namespace}`)
      return calls || (workload.mutualTls && workload.ports.length > 0) ? [sidecarNode(workload, captured)] : []
    })
    const unnamed = [...callers].flatMap((from) => unnamedGateway(from, gateways, nodes)).map((one, index) => gatewayNode({ ...one, address: block?.at(placed.length + index) ?? `${UNNAMED_GATEWAYS}.${index + 1}` }, gateways, captured))
    const names = new Map<string, string[]>()
    for (const { words, workload } of placed) for (const name of words.names ?? []) names.set(name, [...(names.get(name) ?? []), workload.address])
    const proxied = new Set(nodes.filter((one) => one.type === 'sidecar').map((one) => one.address))
    const addressesOfAll = [...placed.map(({ workload: { address, addresses = [address] } }) => ({ address, addresses })), ...unnamed.map(({ address }) => ({ address, addresses: [address] }))]
    const hosts = captured ? await Hosts.open(new Map(addressesOfAll.map(({ address, addresses }) => [address, { addresses, captured: proxied.has(address) }])), Object.fromEntries(names), reachedPorts(configuration)) : undefined
    const live = new LiveCase({ world, applications, certificates, tokens, plane, block, hosts, names, files, patienceMs })
    try {
      await hosts?.forward(Number(plane.target.slice(plane.target.lastIndexOf(':') + 1)))
      const started = await Promise.allSettled([
        ...placed.flatMap(({ words: { application = {}, ports = [] }, workload }) => {
          const silent = ports.flatMap((one) => (typeof one === 'object' && one.listens === false ? [one.port] : []))
          const own = application.revoked === true ? certificates.revoked : application.certificate === undefined && application.untrusted !== true ? certificates.server : serverCertificate(application.untrusted === true ? stranger : authority, application.certificate ?? ['localhost'], doors.clock.wallMs())
          // A Sidecar may pass on to loopback, which on a host of its own is nobody else's.
          const { address, addresses: all = [address] } = workload
          const loopback = loopbacksOf(familiesOf(workload))
          const addresses = !captured ? [address] : application.loopback === true ? loopback : application.further === true ? all.slice(1) : [...all, ...loopback]
          return workload.ports.filter(({ port }) => !silent.includes(port)).flatMap((port) => addresses.map((address) => applications.serve(workload.name, address, port.app.port, application, { ...own, clientAuthorities: authority.certificate }, live.host(workload.address))))
        }),
        ...[...nodes, ...unnamed].map(async (node) => {
          const options = { doors, parts: others?.names.includes(node.name) === true ? others.parts : parts, node, host: live.host(node.address), trustDomain: world.model.trustDomain, target: plane.target, rootPem: plane.serverRoot, joinToken: live.#mesh.joinToken }
          live.#proxies.set(`${node.name}.${node.namespace}`, await LiveProxy.start(options))
        }),
      ])
      // What started beside what did not must be known before all of it is stopped.
      const failure = started.find((one) => one.status === 'rejected')
      if (failure !== undefined) throw failure.reason
      return live
    } catch (error) {
      const refused = plane.rejections(live.#mesh)
      await live.stop()
      throw refused.length === 0 ? error : new Error(refused.join('; '), { cause: error })
    }
  }

  /** The proxy beside a workload, or a gateway, by `NAME.NAMESPACE`. */
  proxy(name: string): LiveProxy | undefined {
    return this.#proxies.get(name)
  }

  get captured(): boolean {
    return this.#hosts !== undefined
  }

  /** Where something with this address runs; `outside`: where callers are who are not of the mesh. */
  host(address: string): Host {
    return this.#hosts === undefined ? thisMachine : address === 'outside' ? this.#hosts.middle : this.#hosts.at(address)
  }

  proxies(): readonly LiveProxy[] {
    return [...this.#proxies.values()]
  }

  /** Workloads come or go, by NAME.NAMESPACE; resolves when all proxies know. */
  async setHealth(healthy: Readonly<Record<string, boolean>>): Promise<void> {
    for (const [of, well] of Object.entries(healthy)) {
      const at = of.lastIndexOf('.')
      const workload = this.world.workload(of.slice(at + 1), of.slice(0, at))
      if (workload === undefined) throw new Error(`there is no workload ${of}`)
      const { namespace, name } = workload
      const revision = this.world.apply((next) => ({ of: 'workload', revision: next, namespace, name, workload: { ...workload, health: well ? 'healthy' : 'unhealthy' } }))
      await this.#plane.synced(this.#mesh, revision)
    }
  }

  /** What proxies refused of their configuration, in words. */
  rejections(): string[] {
    return this.#plane.rejections(this.#mesh)
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#proxies.values()].map((proxy) => proxy.stop()))
    await this.applications.close()
    this.#plane.remove(this.#mesh)
    this.#files.remove()
    this.#hosts?.close()
    await this.#block?.release()
  }
}

/** Where a workload's caller side takes requests, and where its application listens behind its proxy, if it has one: at the same port, where the way there is captured. */
function place(words: WorkloadWords, address: string, ports: readonly { readonly port: number; readonly name?: string }[], captured: boolean): Workload {
  const proxied = words.mutualTls !== false
  return {
    name: words.name,
    namespace: words.namespace,
    serviceAccount: words.serviceAccount ?? 'default',
    labels: words.labels ?? {},
    address,
    ...(captured && words.moreAddresses !== undefined ? { addresses: [address, ...words.moreAddresses] } : {}),
    network: words.network ?? '',
    locality: words.locality ?? '',
    cluster: '',
    ports: ports.map((one, index): WorkloadPort => ({ ...one, listen: { address, port: proxied && !captured ? INBOUND_PORT + index : one.port }, app: { address, port: one.port } })),
    mutualTls: proxied,
    health: words.healthy === false ? 'unhealthy' : 'healthy',
  }
}

/** The ports that a workload's words name, else those to which services lead that select it. */
function portsOf(words: WorkloadWords, services: readonly ResourceObject[]): { readonly port: number; readonly name?: string }[] {
  if (words.ports !== undefined) return words.ports.map((one) => (typeof one === 'number' ? { port: one } : { port: one.port, ...(one.name === undefined ? {} : { name: one.name }) }))
  const led = services
    .filter((one) => one.metadata.namespace === words.namespace)
    .map((one) => one.spec as { selector?: Record<string, string>; ports?: readonly { port: number; targetPort?: number | string }[] } | undefined)
    .filter((spec) => spec?.selector !== undefined && selects(spec.selector, words.labels ?? {}))
    .flatMap((spec) => (spec?.ports ?? []).map((one) => one.targetPort ?? one.port))
    .filter((port): port is number => typeof port === 'number')
  return [...new Set(led)].map((port) => ({ port }))
}

const sidecarNode = (workload: Workload, captured: boolean): ProxyNode => {
  if (captured) return sidecarOf(workload, false)
  const node = sidecarOf(workload, true)
  return { ...node, serviceAccount: workload.serviceAccount, outbound: { address: workload.address, port: OUTBOUND_PORT }, ports: workload.mutualTls ? node.ports : [] }
}

/** Ports that Sidecars have workloads listen on themselves, as whoever installs the capture leaves them out. */
const reachedPorts = (objects: readonly ResourceObject[]): number[] =>
  objects.flatMap((one) => (one.kind === 'Sidecar' ? ((one.spec as SidecarSpec).ingress ?? []).flatMap(({ captureMode, port }) => (captureMode === 'NONE' && port.number ? [port.number] : [])) : []))

const isGatewayObject = (object: ResourceObject): boolean => object.kind === 'Gateway' && object.apiVersion.startsWith('networking.istio.io/')
const selectorOf = (object: ResourceObject): Readonly<Record<string, string>> | undefined => (object.spec as GatewaySpec | undefined)?.selector

/** A gateway process for a Gateway that tests name and that no workload serves. */
function unnamedGateway(from: string, objects: readonly ResourceObject[], nodes: readonly ProxyNode[]): { name: string; namespace: string; labels: Readonly<Record<string, string>>; serviceAccount: string }[] {
  if (!from.startsWith('gateway:')) return []
  const [, name = '', namespace = ''] = /^gateway:(.+)\.([^.]+)$/.exec(from) ?? []
  if (nodes.some((one) => one.name === name && one.namespace === namespace)) return []
  const object = objects.find((one) => one.metadata.name === name && one.metadata.namespace === namespace)
  return [{ name, namespace, labels: (object && selectorOf(object)) ?? {}, serviceAccount: name }]
}

function gatewayNode(of: { name: string; namespace: string; labels: Readonly<Record<string, string>>; serviceAccount: string; address: string }, objects: readonly ResourceObject[], captured: boolean): ProxyNode {
  const ports = objects.flatMap((one) => ((one.spec as GatewaySpec).servers ?? []).map((server) => server.port.number))
  return {
    ...gatewayOf(of),
    serviceAccount: of.serviceAccount,
    gatewayAddress: of.address,
    gatewayPorts: new Map([...new Set(ports)].filter((port) => port < PRIVILEGED && !captured).map((port) => [port, port + GATEWAY_PORT_OFFSET])),
  }
}

function certificatesOf(authority: Authority, untrusted: Authority, objects: readonly ResourceObject[], nowMs: number): Certificates {
  const hosts = objects.flatMap((one) => ((one.spec as GatewaySpec).servers ?? []).flatMap((server) => server.hosts ?? []))
  const names = [...new Set(hosts.map((host) => host.slice(host.indexOf('/') + 1)).filter((host) => host !== '*'))]
  return {
    server: serverCertificate(authority, names.length === 0 ? ['localhost'] : names, nowMs),
    client: serverCertificate(authority, ['client.example.com'], nowMs),
    other: serverCertificate(authority, ['other.example.com'], nowMs),
    stranger: serverCertificate(untrusted, ['client.example.com'], nowMs),
    revoked: serverCertificate(authority, ['localhost'], nowMs),
  }
}

/** Every credential that a Gateway names, in each namespace where its process may look; what stands in the configuration and is no certificate gives way to one that is. */
function withCredentials(objects: readonly ResourceObject[], rootPem: string, { server }: Certificates, away: readonly string[] = []): ResourceObject[] {
  const data = { 'tls.crt': server.certificate, 'tls.key': server.privateKey, 'ca.crt': rootPem }
  const kept = objects.map((one) => (one.kind === 'Secret' && !holdsCertificate(one) ? { ...one, data: undefined, stringData: data } : one.kind === 'ConfigMap' && claimsAuthority(one) ? { ...one, data: { 'ca.crt': rootPem } } : one))
  const there = new Set(objects.filter((one) => one.kind === 'Secret').map((one) => `${one.metadata.namespace ?? ''}/${one.metadata.name}`))
  const asked = objects.filter((one) => one.kind === 'DestinationRule').flatMap((one) => rulePolicies(one.spec as DestinationRuleSpec).flatMap((policy) => policy.tls?.credentialName ?? []))
  const names = new Set([...objects.filter(isGatewayObject).flatMap((one) => ((one.spec as GatewaySpec).servers ?? []).flatMap((server) => [...(server.tls === undefined ? [] : credentialNames(server.tls)), ...(server.tls?.caCertCredentialName ? [server.tls.caCertCredentialName] : [])])), ...asked])
  const namespaces = new Set(['istio-system', ...objects.map((one) => one.metadata.namespace ?? '')].filter((one) => one !== ''))
  const missing = [...names].filter((name) => !away.includes(name)).flatMap((name) => [...namespaces].filter((namespace) => !there.has(`${namespace}/${name}`)).map((namespace): ResourceObject => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, stringData: data })))
  return [...kept, ...missing]
}

/** A Secret with what lies in the files of the run that it names. */
function withTexts(object: ResourceObject, files: CertificateFiles): ResourceObject {
  const { stringData } = object as { stringData?: Record<string, string> }
  return object.kind !== 'Secret' || stringData === undefined ? object : { ...object, stringData: Object.fromEntries(Object.entries(stringData).map(([key, value]) => [key, files.text(value)])) }
}

/** A ConfigMap of authorities whose text is none. */
const claimsAuthority = (map: ResourceObject): boolean => (map as { data?: Record<string, string> }).data?.['ca.crt']?.includes('not a real one') === true

function holdsCertificate(secret: ResourceObject): boolean {
  const { data, stringData } = secret as { data?: Record<string, string>; stringData?: Record<string, string> }
  const text = stringData?.['tls.crt'] ?? (data?.['tls.crt'] === undefined ? undefined : Buffer.from(data['tls.crt'], 'base64').toString())
  if (text === undefined) return stringData?.['ca.crt'] !== undefined || data?.['ca.crt'] !== undefined
  try {
    return new X509Certificate(text).subject !== undefined
  } catch {
    return false
  }
}

/** The object with the addresses that workloads and the places that certificates have here, in place of those that the file gave them. */
function moved(object: ResourceObject, place: (text: string) => string): ResourceObject {
  const move = (value: unknown): unknown => {
    if (typeof value === 'string') return place(value)
    if (Array.isArray(value)) return value.map(move)
    if (value === null || typeof value !== 'object') return value
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, move(one)]))
  }
  return { ...object, ...(object.spec === undefined ? {} : { spec: move(object.spec) }) } as ResourceObject
}
