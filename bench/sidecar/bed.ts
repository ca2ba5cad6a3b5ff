import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installEnvoy } from '#infra/parts/envoy.ts'
import { endAll, LOAD_CPU } from './measure.ts'
import type { BenchOptions } from './options.ts'
import { Report } from './report.ts'

/** What all rows of a run share. */
export interface Bed {
  readonly folder: string
  /** Envoy's binary; undefined: Weft alone is measured. */
  readonly envoy: string | undefined
  /** Node, with what a profile needs. */
  readonly node: readonly string[]
  readonly options: BenchOptions
  readonly report: Report
}

/** Something that is measured: processes, and the port where they take load. */
export interface Subject {
  /** `envoy`, `weft`; of a pair with what is spoken between the two: `envoy h1`. */
  readonly name: string
  readonly port: number
  /** Empty: what is there already, without a proxy. */
  readonly commands: readonly (readonly string[])[]
}

/** Runs `body` with a folder of its own; whatever happens, all processes end and the folder goes. @throws Error when a tool is not installed */
export async function onBed(options: BenchOptions, tools: readonly string[], body: (bed: Bed) => Promise<void>): Promise<void> {
  for (const tool of ['taskset', 'openssl', ...tools]) {
    try {
      execFileSync('which', [tool], { stdio: 'ignore' })
    } catch {
      throw new Error(`${tool} is needed and not installed`)
    }
  }
  const folder = mkdtempSync(join(tmpdir(), 'weft-bench-'))
  const clear = (): void => {
    endAll()
    // What was killed may write a moment longer.
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
  }
  const interrupted = (): void => process.exit(130)
  process.once('exit', clear)
  process.once('SIGINT', interrupted)
  process.once('SIGTERM', interrupted)
  // What this process itself does (looking whether somebody is there, the static control plane) is no load on the proxies' core.
  execFileSync('taskset', ['-a', '-c', '-p', LOAD_CPU, String(process.pid)], { stdio: 'ignore' })
  const report = new Report()
  try {
    const envoy = options.weftOnly ? undefined : await installEnvoy()
    const node = [process.execPath, ...(options.profile === '' ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profile}`])]
    await body({ folder, envoy, node, options, report })
  } finally {
    if (options.json !== '') report.save(options.json)
    clear()
    process.off('exit', clear)
    process.off('SIGINT', interrupted)
    process.off('SIGTERM', interrupted)
  }
}

/** The path of a JSON file in the bed's folder. */
export function write(folder: string, name: string, value: unknown): string {
  const path = join(folder, name)
  writeFileSync(path, JSON.stringify(value))
  return path
}

/** Envoy on static resources. `id` tells apart those that run at once. */
export const envoyCommand = (binary: string, config: string, id: number, concurrency = 1): string[] => [binary, '-c', config, '--concurrency', String(concurrency), '-l', 'error', '--disable-hot-restart', '--base-id', String(id)]

export const bootstrap = (id: string, resources: unknown): unknown => ({ node: { id, cluster: 'bench' }, static_resources: resources })

/** Weft's data path on static resources: `[RESOURCES]`, and of mutual TLS certificate, key and roots. */
export const WEFT = join(import.meta.dirname, 'weft.ts')
