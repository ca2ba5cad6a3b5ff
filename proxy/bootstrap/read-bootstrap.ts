import { Faults } from '#core/fault/fault.ts'
import { parseSpiffeId } from '#core/identity/spiffe.ts'
import type { Limits } from '../overload/limits.ts'
import { readGatewayTopology, TOPOLOGY_RULE } from '#core/workload/node-message.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { SocketAddress, WorkloadPort } from '#core/workload/workload.ts'
import { isLogLevel } from '../admin/log.ts'
import type { Bootstrap } from './bootstrap.ts'
import { CONCURRENCY_MAX } from '../settings/concurrency.ts'
import { type Environment, parseSocketAddress, Variables } from './variables.ts'

export interface BootstrapDoors {
  /** The text of a file. Throws when it cannot be read. */
  readonly readFile: (path: string) => string
  /** This machine's address by which peers reach it, when nobody names one. */
  readonly ownAddress: () => string
  /** That address first, and one of the other family where it has any; absent: it has none. */
  readonly ownAddresses?: () => readonly string[]
  readonly hostName: () => string
  readonly version: string
}

const LABELS_MAX = 64
const PORTS_MAX = 256
const DRAIN_SECONDS_MAX = 3600
const STALL_SECONDS_MAX = 86_400
const CERTIFICATE_SECONDS_MAX = 86_400

/**
 * Environment → Bootstrap. Each setting is a variable `WEFT_…`, and a flag of the same name that wins over it (see `withFlags`).
 * @throws Faults 'bootstrap.variable', all of them, each naming its variable
 */
export function readBootstrap(environment: Environment, type: 'sidecar' | 'router', doors: BootstrapDoors): Bootstrap {
  const variables = new Variables(environment)
  const namespace = variables.text('WEFT_NAMESPACE') ?? 'default'
  const serviceAccount = variables.text('WEFT_SERVICE_ACCOUNT') ?? 'default'
  const trustDomain = variables.text('WEFT_TRUST_DOMAIN') ?? 'cluster.local'
  const identity = { trustDomain, namespace, serviceAccount }
  if (parseSpiffeId(`spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`) === undefined)
    variables.refuse('WEFT_NAMESPACE, WEFT_SERVICE_ACCOUNT, WEFT_TRUST_DOMAIN', `${trustDomain}/ns/${namespace}/sa/${serviceAccount}`, 'the parts of a SPIFFE ID')
  const level = variables.text('WEFT_LOG_LEVEL') ?? 'info'
  if (!isLogLevel(level)) variables.refuse('WEFT_LOG_LEVEL', level, 'debug, info, warn, error or off')
  const engine = readEngine(variables)
  const dns = readDns(variables, type)
  const bootstrap: Bootstrap = {
    controlPlane: readControlPlane(variables, doors),
    joinToken: readJoinToken(variables),
    identity,
    node: readNode(variables, type, dns, { namespace, serviceAccount }, { ...doors, engine: engine.kind }),
    admin: variables.socketAddress('WEFT_ADMIN', { address: '127.0.0.1', port: 15_000 }) ?? { address: '127.0.0.1', port: 15_000 },
    probes: readProbes(variables),
    dns,
    stateDirectory: variables.text('WEFT_STATE_DIR'),
    drainMs: variables.seconds('WEFT_DRAIN_SECONDS', 30, DRAIN_SECONDS_MAX),
    announceMs: variables.seconds('WEFT_DRAIN_DELAY_SECONDS', type === 'router' ? 5 : 0, DRAIN_SECONDS_MAX),
    limits: readLimits(variables, type),
    concurrency: readConcurrency(variables),
    runsCommands: readWhether(variables, 'WEFT_EXEC_PROBES'),
    provesCapture: readWhether(variables, 'WEFT_CAPTURE_PROOF'),
    certificateLifetimeMs: variables.seconds('WEFT_CERTIFICATE_SECONDS', CERTIFICATE_SECONDS_MAX, CERTIFICATE_SECONDS_MAX),
    engine,
    environment,
    logLevel: isLogLevel(level) ? level : 'info',
  }
  if (variables.faults.length > 0) throw new Faults(variables.faults)
  return bootstrap
}

/**
 * `--labels app=x` and `--labels=app=x` set WEFT_LABELS over the environment's. What remains are words that are no flags.
 * Flags that no variable answers to are faults: a mistyped one must not be silent.
 */
export function withFlags(environment: Environment, flags: readonly string[]): { environment: Environment; words: string[] } {
  const merged: Record<string, string | undefined> = { ...environment }
  const words: string[] = []
  const unknown = new Variables(environment)
  for (let index = 0; index < flags.length; index++) {
    const flag = flags[index] ?? ''
    if (!flag.startsWith('--')) {
      words.push(flag)
      continue
    }
    const equals = flag.indexOf('=')
    const name = `WEFT_${(equals < 0 ? flag.slice(2) : flag.slice(2, equals)).replaceAll('-', '_').toUpperCase()}`
    if (!variableNames.has(name)) unknown.refuse(flag, undefined, 'is no flag of a proxy')
    else merged[name] = equals < 0 ? (flags[++index] ?? '') : flag.slice(equals + 1)
  }
  if (unknown.faults.length > 0) throw new Faults(unknown.faults)
  return { environment: merged, words }
}

const variableNames = new Set(
  (
    'XDS XDS_ROOT XDS_SERVER_NAME XDS_PLAINTEXT JOIN_TOKEN JOIN_TOKEN_FILE NAME NAMESPACE SERVICE_ACCOUNT TRUST_DOMAIN LABELS ADDRESS CLUSTER NETWORK LOCALITY PORTS OUTBOUND ' +
    'ADMIN PROBES DNS GATEWAY_PORTS GATEWAY_ADDRESS GATEWAY_TOPOLOGY OTLP STATE_DIR DRAIN_SECONDS DRAIN_DELAY_SECONDS CONNECTIONS_MAX ADDRESS_CONNECTIONS_MAX REQUESTS_MAX MEMORY_MAX_MB STALL_SECONDS CERTIFICATE_SECONDS LOG_LEVEL CONCURRENCY EXEC_PROBES CAPTURE_PROOF ENGINE ENVOY ENVOY_ARGUMENTS'
  )
    .split(' ')
    .map((name) => `WEFT_${name}`),
)

function readControlPlane(variables: Variables, doors: BootstrapDoors): Bootstrap['controlPlane'] {
  const target = variables.required('WEFT_XDS', 'HOST:PORT of the control plane, usually port 15012')
  if (target !== '' && !/^.+:\d{1,5}$/.test(target)) variables.refuse('WEFT_XDS', target, 'HOST:PORT')
  const serverName = variables.text('WEFT_XDS_SERVER_NAME')
  // Plaintext must be asked for by name: a forgotten root must not become a stream that anyone can read.
  if (variables.text('WEFT_XDS_PLAINTEXT') === 'true') return { target, rootsPem: undefined, serverName }
  const file = variables.required('WEFT_XDS_ROOT', "the file with the root of the control plane's certificate")
  return { target, rootsPem: file === '' ? undefined : readPem(variables, file, doors), serverName }
}

function readPem(variables: Variables, file: string, doors: BootstrapDoors): string {
  try {
    const text = doors.readFile(file)
    if (!text.includes('-----BEGIN CERTIFICATE-----')) variables.refuse('WEFT_XDS_ROOT', file, 'a file with a PEM certificate')
    return text
  } catch (error) {
    variables.refuse('WEFT_XDS_ROOT', file, 'a file that can be read', error instanceof Error ? error.message : undefined)
    return ''
  }
}

function readEngine(variables: Variables): Bootstrap['engine'] {
  const kind = variables.text('WEFT_ENGINE') ?? 'weft'
  if (kind === 'envoy') {
    const list = variables.text('WEFT_ENVOY_ARGUMENTS')?.split(' ') ?? []
    return { kind, binary: variables.text('WEFT_ENVOY') ?? 'envoy', arguments: list.filter((one) => one !== '') }
  }
  if (kind !== 'weft') variables.refuse('WEFT_ENGINE', kind, 'weft or envoy')
  return { kind: 'weft' }
}

function readConcurrency(variables: Variables): number | undefined {
  const value = variables.text('WEFT_CONCURRENCY')
  if (value === undefined) return undefined
  const concurrency = Number(value)
  if (Number.isInteger(concurrency) && concurrency >= 1 && concurrency <= CONCURRENCY_MAX) return concurrency
  variables.refuse('WEFT_CONCURRENCY', value, `a number of threads, 1..${CONCURRENCY_MAX}`)
  return 1
}

/** It is, unless told otherwise. */
function readWhether(variables: Variables, name: string): boolean {
  const value = variables.text(name) ?? 'true'
  if (value !== 'true' && value !== 'false') variables.refuse(name, value, 'true or false')
  return value === 'true'
}

/** A gateway meets strangers, and so has bounds of its own where none are set; a sidecar has them where it is told. */
function readLimits(variables: Variables, type: 'sidecar' | 'router'): Limits {
  const edge = type === 'router'
  return {
    connectionsMax: variables.count('WEFT_CONNECTIONS_MAX', edge ? 50_000 : 0),
    addressConnectionsMax: variables.count('WEFT_ADDRESS_CONNECTIONS_MAX', 0),
    requestsMax: variables.count('WEFT_REQUESTS_MAX', 0),
    memoryBytesMax: variables.count('WEFT_MEMORY_MAX_MB', 0) * 1024 * 1024,
    stallMs: variables.seconds('WEFT_STALL_SECONDS', edge ? 300 : 0, STALL_SECONDS_MAX),
  }
}

const DNS_PORT = 15_053
const OWN_DNS: readonly SocketAddress[] = ['127.0.0.1', '::1'].map((address) => ({ address, port: DNS_PORT }))

/** `true` for Istio's port on loopback, else `IP:PORT,…`. */
function readDns(variables: Variables, type: 'sidecar' | 'router'): readonly SocketAddress[] {
  const value = variables.text('WEFT_DNS')
  if (value === undefined || value === 'false') return []
  if (type === 'router') variables.refuse('WEFT_DNS', value, 'a sidecar’s: a gateway has no application')
  if (value === 'true') return OWN_DNS
  const addresses = value.split(',').map((one) => parseSocketAddress(one.trim()))
  if (addresses.every((one) => one !== undefined)) return addresses
  variables.refuse('WEFT_DNS', value, 'true, or IP:PORT,…')
  return []
}

function readJoinToken(variables: Variables): Bootstrap['joinToken'] {
  const text = variables.text('WEFT_JOIN_TOKEN')
  const file = variables.text('WEFT_JOIN_TOKEN_FILE')
  if (text !== undefined) return { text: text.trim() }
  return file === undefined ? undefined : { file }
}

function readNode(variables: Variables, type: 'sidecar' | 'router', dns: readonly SocketAddress[], who: { namespace: string; serviceAccount: string }, doors: BootstrapDoors & { engine: string }): ProxyNode {
  const name = variables.text('WEFT_NAME') ?? doors.hostName()
  // As Kubernetes has them in `status.podIPs`.
  const addresses = variables.text('WEFT_ADDRESS')?.split(',').map((one) => one.trim()) ?? doors.ownAddresses?.() ?? [doors.ownAddress()]
  const [address = ''] = addresses
  for (const one of addresses) if (parseSocketAddress(one.includes(':') ? `[${one}]:1` : `${one}:1`) === undefined) variables.refuse('WEFT_ADDRESS', one, 'an IP address, or several with commas between')
  return {
    id: `${type}~${address}~${name}.${who.namespace}~${who.namespace}.svc.cluster.local`,
    type,
    address,
    ...(addresses.length > 1 ? { addresses } : {}),
    name,
    ...who,
    labels: readLabels(variables),
    cluster: variables.text('WEFT_CLUSTER') ?? 'Kubernetes',
    network: variables.text('WEFT_NETWORK') ?? '',
    locality: variables.text('WEFT_LOCALITY') ?? '',
    engine: doors.engine,
    version: doors.version,
    outbound: variables.socketAddress('WEFT_OUTBOUND', undefined),
    ports: readPorts(variables),
    gatewayPorts: readGatewayPorts(variables),
    gatewayAddress: variables.text('WEFT_GATEWAY_ADDRESS') ?? '',
    otlp: variables.text('WEFT_OTLP') ?? '',
    ...readTopology(variables),
    ...(dns.length > 0 ? { dnsCapture: true } : {}),
  }
}

/** As Istio's `gatewayTopology`, for a gateway behind balancers of its own. */
function readTopology(variables: Variables): Pick<ProxyNode, 'gatewayTopology'> {
  const text = variables.text('WEFT_GATEWAY_TOPOLOGY')
  if (text === undefined) return {}
  const gatewayTopology = readGatewayTopology(parseJson(text))
  if (gatewayTopology === undefined) variables.refuse('WEFT_GATEWAY_TOPOLOGY', text, TOPOLOGY_RULE)
  return gatewayTopology === undefined ? {} : { gatewayTopology }
}

/** JSON object of strings, or `app=order,version=v1`. */
function readLabels(variables: Variables): Record<string, string> {
  const text = variables.text('WEFT_LABELS')
  if (text === undefined) return {}
  const labels: Record<string, string> = {}
  const pairs = text.trimStart().startsWith('{') ? jsonEntries(text) : text.split(',').map((pair): [string, unknown] => split(pair.trim()))
  for (const [key, value] of pairs ?? []) {
    if (key === '' || typeof value !== 'string') variables.refuse('WEFT_LABELS', text, 'a JSON object of strings, or KEY=VALUE,…')
    else labels[key] = value
  }
  if (pairs === undefined || pairs.length > LABELS_MAX) variables.refuse('WEFT_LABELS', text, `a JSON object of at most ${LABELS_MAX} strings, or KEY=VALUE,…`)
  return labels
}

function split(pair: string): [string, string | undefined] {
  const equals = pair.indexOf('=')
  return equals < 0 ? [pair, undefined] : [pair.slice(0, equals), pair.slice(equals + 1)]
}

function readPorts(variables: Variables): WorkloadPort[] {
  const text = variables.text('WEFT_PORTS')
  if (text === undefined) return []
  const list = parseJson(text)
  const ports = Array.isArray(list) ? list.map(workloadPort) : []
  const good = ports.filter((port) => port !== undefined)
  if (!Array.isArray(list) || good.length !== ports.length || ports.length > PORTS_MAX)
    variables.refuse('WEFT_PORTS', text, '[{"port":8080,"name":"http","listen":{"address","port"},"app":{"address","port"}}, …]')
  return good
}

function workloadPort(value: unknown): WorkloadPort | undefined {
  if (!isRecord(value)) return undefined
  const { port, name } = value
  const listen = socketAddress(value['listen'])
  const app = socketAddress(value['app'])
  if (!isPort(port) || listen === undefined || app === undefined) return undefined
  if (name !== undefined && typeof name !== 'string') return undefined
  return { port, listen, app, ...(name !== undefined && { name }) }
}

function socketAddress(value: unknown): SocketAddress | undefined {
  if (!isRecord(value)) return undefined
  const { address, port } = value
  return typeof address === 'string' && isPort(port) ? { address, port } : undefined
}

/** `{"443":8443}` or `443:8443,80:8081`: a Gateway's port → the port to bind. */
function readGatewayPorts(variables: Variables): Map<number, number> {
  const text = variables.text('WEFT_GATEWAY_PORTS')
  const ports = new Map<number, number>()
  if (text === undefined) return ports
  const pairs = text.trimStart().startsWith('{') ? jsonEntries(text) : text.split(',').map((pair): [string, unknown] => [pair.split(':')[0] ?? '', Number(pair.split(':')[1])])
  for (const [from, to] of pairs ?? []) {
    if (isPort(Number(from)) && isPort(to)) ports.set(Number(from), to)
    else variables.refuse('WEFT_GATEWAY_PORTS', text, '{"443":8443} or 443:8443,…')
  }
  if (pairs === undefined) variables.refuse('WEFT_GATEWAY_PORTS', text, '{"443":8443} or 443:8443,…')
  return ports
}

function readProbes(variables: Variables): SocketAddress[] {
  const addresses: SocketAddress[] = []
  for (const text of variables.text('WEFT_PROBES')?.split(',') ?? []) {
    const address = parseSocketAddress(text.trim())
    if (address === undefined) variables.refuse('WEFT_PROBES', text, 'ADDRESS:PORT,…')
    else addresses.push(address)
  }
  return addresses
}

function jsonEntries(text: string): [string, unknown][] | undefined {
  const value = parseJson(text)
  return isRecord(value) ? Object.entries(value) : undefined
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Undefined is no JSON value: the caller refuses the variable and shows its text.
    return undefined
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
const isPort = (value: unknown): value is number => Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 65_535
