import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installEnvoy } from '#test/parts/envoy.ts'
import { calledResources, callerResources, plainResources } from './sidecar/config.ts'
import type { BenchFiles } from './sidecar/config.ts'
import { LOAD_CPU, PROXY_CPU, cpuNs, median, ready, startOn, stop, wrk } from './sidecar/measure.ts'

/**
 * What a request costs in CPU: a Weft sidecar beside Envoy in one run, alone and as a pair with mutual TLS: HTTP/1.1 between the two, and HTTP/2, over which requests share connections.
 * Rounds are interleaved; a ratio is Envoy's cost by Weft's in the same round. Options: --only plain|pair, --sizes 128,16384, --rounds 5, --seconds 3, --warmup 3, --connections 64, --weft-only, --profile DIR.
 */

const NEEDED = ['taskset', 'wrk', 'openssl']
const BACKEND = 21180

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
    const how = { rounds: Number(option('rounds', '5')), seconds: Number(option('seconds', '3')), warmup: Number(option('warmup', '3')), connections }
    for (const size of option('sizes', '128,16384').split(',')) {
      for (const work of ['plain', 'pair'] as const) {
        if (only !== '' && only !== work) continue
        const subjects = work === 'plain' ? plainSubjects(folder, envoy, node) : pairSubjects(folder, envoy, node)
        await compare(`${work} ${size} B`, subjects, `/b/${size}`, how)
      }
    }
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

async function compare(title: string, subjects: readonly Subject[], path: string, how: { rounds: number; seconds: number; warmup: number; connections: number }): Promise<void> {
  const costs = new Map<string, number[]>(subjects.map((subject) => [subject.name, []]))
  const rates = new Map<string, number[]>(subjects.map((subject) => [subject.name, []]))
  let failures = 0
  for (let round = 0; round < how.rounds; round++) {
    for (const subject of subjects) {
      const children = subject.commands.map((command) => startOn(PROXY_CPU, command))
      try {
        await ready(subject.port, path)
        // taskset becomes the command itself, so the child's pid is the proxy's.
        const pids = children.flatMap((child) => child.pid ?? [])
        await wrk(subject.port, path, how.warmup, how.connections)
        const before = cpuNs(pids)
        const load = await wrk(subject.port, path, how.seconds, how.connections)
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
