import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installEnvoy } from '#infra/parts/envoy.ts'
import { calledResources, callerResources, grpcResources, plainResources } from './sidecar/config.ts'
import type { BenchFiles } from './sidecar/config.ts'
import type { Load } from './sidecar/measure.ts'
import { LOAD_CPU, PROXY_CPU, cpuNs, h2load, median, ready, startOn, stop, wrk } from './sidecar/measure.ts'

/**
 * What a request costs in CPU: a Weft sidecar beside Envoy in one run, alone and as a pair with mutual TLS: HTTP/1.1 between the two, and HTTP/2, over which requests share connections.
 * Rounds are interleaved; a ratio is Envoy's cost by Weft's in the same round. Options: --only plain|pair|grpc, --sizes 128,16384, --rounds 5, --seconds 3, --warmup 3, --connections 64, --weft-only, --profile DIR.
 */

const NEEDED = ['taskset', 'wrk', 'openssl']
const BACKEND = 21180
const GRPC_BACKEND = 21181

interface Subject {
  /** `envoy`, `weft`; of a pair with what is spoken between the two: `envoy h1`. */
  readonly name: string
  readonly port: number
  readonly commands: readonly (readonly string[])[]
}

export async function run(args: readonly string[]): Promise<void> {
  for (const tool of NEEDED) {
    try {
      execFileSync('which', [tool], { stdio: 'ignore' })
    } catch {
      throw new Error(`${tool} is needed and not installed`)
    }
  }
  const option = (name: string, otherwise: string): string => {
    const at = args.indexOf(`--${name}`)
    return at < 0 ? otherwise : (args[at + 1] ?? otherwise)
  }
  const folder = mkdtempSync(join(tmpdir(), 'weft-bench-'))
  const backend = startOn(LOAD_CPU, [process.execPath, join(import.meta.dirname, 'sidecar/backend.ts'), String(BACKEND)])
  try {
    await ready(BACKEND, '/b/128')
    const envoy = args.includes('--weft-only') ? undefined : await installEnvoy()
    const profile = option('profile', '')
    const node = [process.execPath, ...(profile === '' ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`])]
    const only = option('only', '')
    const connections = Number(option('connections', '64'))
    const how = { rounds: Number(option('rounds', '5')), seconds: Number(option('seconds', '3')), warmup: Number(option('warmup', '3')), connections, path: '/b/128' }
    for (const size of option('sizes', '128,16384').split(',')) {
      for (const work of ['plain', 'pair'] as const) {
        if (only !== '' && only !== work) continue
        const subjects = work === 'plain' ? plainSubjects(folder, envoy, node) : pairSubjects(folder, envoy, node)
        await compare(`${work} ${size} B`, subjects, { ...how, readyStatus: 200, load: (port, seconds) => wrk(port, `/b/${size}`, seconds, connections) })
      }
    }
    if (only === '' || only === 'grpc') await compareGrpc(folder, envoy, node, how, connections)
  } finally {
    await stop(backend)
    rmSync(folder, { recursive: true, force: true })
  }
}

function write(folder: string, name: string, value: unknown): string {
  const path = join(folder, name)
  writeFileSync(path, JSON.stringify(value))
  return path
}

const envoyCommand = (binary: string, config: string, id: number): string[] => [binary, '-c', config, '--concurrency', '1', '-l', 'error', '--disable-hot-restart', '--base-id', String(id)]
const bootstrap = (id: string, resources: unknown): unknown => ({ node: { id, cluster: 'bench' }, static_resources: resources })
const WEFT = join(import.meta.dirname, 'sidecar/weft.ts')

function plainSubjects(folder: string, envoy: string | undefined, node: readonly string[]): Subject[] {
  const subjects: Subject[] = [{ name: 'weft', port: 21102, commands: [[...node, WEFT, write(folder, 'weft-plain.json', plainResources(21102, BACKEND, join(folder, 'weft.log')))]] }]
  if (envoy !== undefined) subjects.unshift({ name: 'envoy', port: 21101, commands: [envoyCommand(envoy, write(folder, 'envoy-plain.json', bootstrap('plain', plainResources(21101, BACKEND, join(folder, 'envoy.log')))), 1)] })
  return subjects
}

function pairSubjects(folder: string, envoy: string | undefined, node: readonly string[]): Subject[] {
  const { client, server } = makeCertificates(folder)
  const weft = (name: string, resources: unknown, files: BenchFiles): string[] => [...node, WEFT, write(folder, `weft-${name}.json`, resources), files.certificate, files.key, files.roots]
  const subjects: Subject[] = []
  let port = 21111
  for (const http2 of [false, true]) {
    const suffix = http2 ? 'h2' : 'h1'
    const pair = (name: string, make: (called: unknown, caller: unknown) => (readonly string[])[], files: { client: BenchFiles; server: BenchFiles } | undefined): void => {
      const called = calledResources(port, BACKEND, join(folder, `${name}-called.log`), files?.server, http2)
      const caller = callerResources(port + 1, port, join(folder, `${name}-caller.log`), files?.client, http2)
      subjects.push({ name: `${name} ${suffix}`, port: port + 1, commands: make(called, caller) })
      port += 2
    }
    if (envoy !== undefined) {
      const command = (side: string, resources: unknown): string[] => envoyCommand(envoy, write(folder, `envoy-${suffix}-${side}.json`, bootstrap(side, resources)), port)
      pair('envoy', (called, caller) => [command('called', called), envoyCommand(envoy, write(folder, `envoy-${suffix}-caller.json`, bootstrap('caller', caller)), port + 1)], { client, server })
    }
    pair('weft', (called, caller) => [weft(`${suffix}-called`, called, server), weft(`${suffix}-caller`, caller, client)], undefined)
  }
  return subjects
}

/** A root and two workload certificates, P-256 with SPIFFE names, by openssl. */
function makeCertificates(folder: string): { client: BenchFiles; server: BenchFiles } {
  const openssl = (...parameters: string[]): void => void execFileSync('openssl', parameters, { cwd: folder, stdio: 'ignore' })
  openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'root.key')
  openssl('req', '-x509', '-new', '-key', 'root.key', '-sha256', '-days', '2', '-subj', '/O=cluster.local', '-out', 'root.pem')
  const leaf = (account: string): BenchFiles => {
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', `${account}.key`)
    openssl('req', '-new', '-key', `${account}.key`, '-subj', '/', '-out', `${account}.csr`)
    writeFileSync(join(folder, `${account}.ext`), `subjectAltName=critical,URI:spiffe://cluster.local/ns/default/sa/${account}\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=critical,CA:FALSE\n`)
    openssl('x509', '-req', '-in', `${account}.csr`, '-CA', 'root.pem', '-CAkey', 'root.key', '-CAcreateserial', '-days', '2', '-sha256', '-extfile', `${account}.ext`, '-out', `${account}.pem`)
    return { certificate: join(folder, `${account}.pem`), key: join(folder, `${account}.key`), roots: join(folder, 'root.pem') }
  }
  return { client: leaf('client'), server: leaf('server') }
}

/** gRPC unary calls of 128 bytes, HTTP/2 in plaintext on either side of one sidecar; needs h2load. */
async function compareGrpc(folder: string, envoy: string | undefined, node: readonly string[], how: { rounds: number; seconds: number; warmup: number; connections: number; path: string }, connections: number): Promise<void> {
  const backend = startOn(LOAD_CPU, [process.execPath, join(import.meta.dirname, 'sidecar/grpc-backend.ts'), String(GRPC_BACKEND)])
  const body = join(folder, 'call.bin')
  writeFileSync(body, Buffer.concat([Buffer.from([0, 0, 0, 0, 128]), Buffer.alloc(128, 120)]))
  const subjects: Subject[] = [{ name: 'weft', port: 21122, commands: [[...node, WEFT, write(folder, 'weft-grpc.json', grpcResources(21122, GRPC_BACKEND, join(folder, 'weft-grpc.log')))]] }]
  if (envoy !== undefined) subjects.unshift({ name: 'envoy', port: 21121, commands: [envoyCommand(envoy, write(folder, 'envoy-grpc.json', bootstrap('grpc', grpcResources(21121, GRPC_BACKEND, join(folder, 'envoy-grpc.log')))), 7)] })
  try {
    // A GET is refused by the sidecar itself: it is there.
    await compare('gRPC unary 128 B', subjects, { ...how, readyStatus: 403, load: (port, seconds) => h2load(port, '/b/unary', seconds, connections, body) })
  } finally {
    await stop(backend)
  }
}

interface How {
  readonly rounds: number
  readonly seconds: number
  readonly warmup: number
  readonly connections: number
  readonly path: string
  /** What a GET of the path is answered once the subject is there. */
  readonly readyStatus: number
  load(port: number, seconds: number): Promise<Load>
}

async function compare(title: string, subjects: readonly Subject[], how: How): Promise<void> {
  const costs = new Map<string, number[]>(subjects.map((subject) => [subject.name, []]))
  const rates = new Map<string, number[]>(subjects.map((subject) => [subject.name, []]))
  let failures = 0
  for (let round = 0; round < how.rounds; round++) {
    for (const subject of subjects) {
      const children = subject.commands.map((command) => startOn(PROXY_CPU, command))
      try {
        await ready(subject.port, how.path, how.readyStatus)
        // taskset becomes the command itself, so the child's pid is the proxy's.
        const pids = children.flatMap((child) => child.pid ?? [])
        await how.load(subject.port, how.warmup)
        const before = cpuNs(pids)
        const load = await how.load(subject.port, how.seconds)
        costs.get(subject.name)?.push((cpuNs(pids) - before) / 1000 / load.requests)
        rates.get(subject.name)?.push(load.requests / how.seconds)
        failures += load.failures
      } finally {
        for (const child of children) await stop(child)
      }
    }
  }
  console.log(`\n${title}, ${how.connections} connections, median of ${how.rounds} rounds of ${how.seconds} s`)
  const bases = subjects.filter((subject) => subject.name.startsWith('envoy'))
  for (const { name } of subjects) {
    const own = costs.get(name) ?? []
    let ratios = ''
    for (const base of name.startsWith('envoy') ? [] : bases) {
      const each = own.map((cost, round) => (costs.get(base.name)?.[round] ?? Number.NaN) / cost)
      ratios += `  ${median(each).toFixed(2)}× ${base.name} (${Math.min(...each).toFixed(2)}..${Math.max(...each).toFixed(2)})`
    }
    console.log(`  ${name.padEnd(8)} ${median(own).toFixed(1).padStart(6)} µs CPU a request  ${Math.round(median(rates.get(name) ?? [])).toString().padStart(6)}/s${ratios}`)
  }
  if (failures > 0) console.log(`  ${failures} requests failed`)
}
