import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import http from 'node:http'
import os from 'node:os'
import path from 'node:path'

export const root = path.resolve(import.meta.dirname, '../..')

/** What `weft up` writes when it is ready: contract, "weft up". */
export interface Ready {
  readonly rest: string
  readonly apiKey: string
  readonly organization: string
  readonly mesh: string
  readonly kubeconfig: string
  readonly pid: number
  readonly xds: { readonly address: string; readonly rootCertificate: string }
  readonly gateway: { readonly https: string; readonly http: string; readonly admin: string }
  readonly workloads: readonly ReadyWorkload[]
}

export interface ReadyWorkload {
  readonly name: string
  readonly namespace: string
  readonly serviceAccount: string
  readonly engine: 'weft' | 'envoy'
  readonly pid: number
  readonly app: string
  readonly inbound: string
  readonly outbound: string
  readonly admin: string
}

export interface Answer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

export interface Call {
  readonly method?: string
  readonly host: string
  readonly path: string
  readonly headers?: Record<string, string>
  readonly body?: string
  readonly timeoutMs?: number
  readonly agent?: http.Agent
}

/** Sends one request to a socket; the Host header says who is meant. Rejects when no whole answer comes. */
export function send(to: string, call: Call): Promise<Answer> {
  const [host = '', port = ''] = to.split(':')
  return new Promise((resolve, reject) => {
    const request = http.request(
      { host, port, method: call.method ?? 'GET', path: call.path, headers: { host: call.host, ...call.headers }, timeout: call.timeoutMs ?? 30_000, ...(call.agent ? { agent: call.agent } : {}) },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString() }))
      },
    )
    request.on('timeout', () => request.destroy(new Error('no answer in time')))
    request.on('error', reject)
    request.end(call.body)
  })
}

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export function runCommand(command: string, args: readonly string[], options: { env?: Record<string, string>; input?: string; cwd?: string } = {}): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: options.cwd ?? root, env: { ...process.env, NO_COLOR: '1', ...options.env }, stdio: ['pipe', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code: code ?? 1, stdout, stderr }))
    // One that has ended before it read anything says by its code how.
    child.stdin.on('error', () => {})
    child.stdin.end(options.input ?? '')
  })
}

export interface ShopOptions {
  readonly engine: 'weft' | 'envoy'
  /** `pglite` for the embedded store in the data folder, or a postgres URL. */
  readonly database: string
  /** Orders a second that the shop's client makes by itself; none unless told. */
  readonly rate?: number
  /** More flags; `--port-base` among them takes the place of free ports. */
  readonly flags?: readonly string[]
  /** Words before the command, such as those that take capabilities away from it and all that it starts. */
  readonly before?: readonly string[]
}

/** A running `weft up`, as one outside sees it. */
export class Shop {
  readonly dir: string
  readonly options: ShopOptions
  ready!: Ready
  #up: ChildProcess | undefined
  #output = ''

  constructor(options: ShopOptions) {
    this.options = options
    this.dir = mkdtempSync(path.join(os.tmpdir(), 'weft-shop-'))
  }

  get output(): string {
    return this.#output
  }

  /** Starts, or starts again on the same folder. */
  async start(): Promise<void> {
    const readyFile = path.join(this.dir, 'ready.json')
    rmSync(readyFile, { force: true })
    const again = existsSync(path.join(this.dir, 'ports.json'))
    const args = ['cli/main.ts', 'up', '--data', this.dir, '--engine', this.options.engine, '--ready-file', readyFile, '--rate', String(this.options.rate ?? 0), ...(this.options.flags ?? []), ...(again || this.options.flags?.includes('--port-base') ? [] : ['--port-base', '0'])]
    if (this.options.database !== 'pglite') args.push('--database', this.options.database)
    const [program = '', ...words] = [...(this.options.before ?? []), process.execPath, '--disable-warning=ExperimentalWarning', ...args]
    this.#up = spawn(program, words, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1', XDG_CONFIG_HOME: path.join(this.dir, 'config') } })
    const hear = (chunk: Buffer): void => void (this.#output += chunk.toString())
    this.#up.stdout?.on('data', hear)
    this.#up.stderr?.on('data', hear)
    const ended = new Promise<never>((_, reject) => this.#up?.once('exit', (code, signal) => reject(new Error(`weft up ended (${code ?? signal}) before it was ready:\n${this.#output}`))))
    ended.catch(() => {})
    const up = this.#up
    await Promise.race([until('weft up is ready', () => existsSync(readyFile) || up.exitCode !== null || up.signalCode !== null), ended]).catch((error: unknown) => {
      throw new Error(`${error instanceof Error ? error.message : String(error)}\n${this.#output}`)
    })
    this.ready = JSON.parse(readFileSync(readyFile, 'utf8')) as Ready
  }

  /** Ends the way an operator does, and resolves when the process is gone. */
  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<number> {
    const up = this.#up
    if (!up || up.exitCode !== null || up.signalCode !== null) return up?.exitCode ?? 0
    const gone = new Promise<number>((resolve) => up.once('exit', (code) => resolve(code ?? -1)))
    up.kill(signal)
    return gone
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true })
  }

  workload(name: string): ReadyWorkload {
    const found = this.ready.workloads.find((one) => one.name === name)
    if (!found) throw new Error(`no workload ${name}`)
    return found
  }

  /** A request that a workload's application makes, through its sidecar. */
  call(from: string, call: Call): Promise<Answer> {
    return send(this.workload(from).outbound, call)
  }

  /** Tells an application how to behave, past the mesh; what it has seen so far is forgotten. */
  async behave(name: string, behaviour: object): Promise<void> {
    await send(this.workload(name).app, { method: 'PUT', host: 'app', path: '/behaviour', body: JSON.stringify(behaviour) })
  }

  async seen(name: string): Promise<{ total: number; last: { method: string; path: string; headers: http.IncomingHttpHeaders }[] }> {
    return JSON.parse((await send(this.workload(name).app, { host: 'app', path: '/seen' })).body)
  }

  get weftEnv(): Record<string, string> {
    return { WEFT_SERVER: this.ready.rest, WEFT_API_KEY: this.ready.apiKey, WEFT_MESH: `${this.ready.organization}/${this.ready.mesh}` }
  }

  weft(args: readonly string[], input?: string): Promise<Ran> {
    return runCommand(process.execPath, ['--disable-warning=ExperimentalWarning', 'cli/main.ts', ...args], { env: this.weftEnv, ...(input === undefined ? {} : { input }) })
  }

  /** `weft apply --wait` of a file or of text; throws when it does not end well. */
  async apply(source: string): Promise<void> {
    const inline = source.includes('\n')
    const ran = await this.weft(['apply', '-f', inline ? '-' : source, '--wait=5m'], inline ? source : undefined)
    if (ran.code !== 0) throw new Error(`weft apply -f ${inline ? '-' : source}: exit ${ran.code}\n${ran.stdout}${ran.stderr}`)
  }

  kubectl(args: readonly string[], input?: string): Promise<Ran> {
    return runCommand('kubectl', ['--kubeconfig', this.ready.kubeconfig, ...args], input === undefined ? {} : { input })
  }

  /** Access-log lines of a workload's sidecar that satisfy `wanted`, once there are any. */
  async accessLog(name: string, wanted: (line: Record<string, unknown>) => boolean): Promise<Record<string, unknown>[]> {
    const file = path.join(this.dir, 'logs', `${name}-sidecar.log`)
    let found: Record<string, unknown>[] = []
    await until(`the access log of ${name} tells of it`, () => {
      found = readFileSync(file, 'utf8')
        .split('\n')
        .flatMap((line) => {
          try {
            return [JSON.parse(line) as Record<string, unknown>]
          } catch {
            // Not every line is an access-log line, and the last may be half-written.
            return []
          }
        })
        .filter(wanted)
      return found.length > 0
    })
    return found
  }
}

/** Waits for a state, as long as a slow machine may take for it. @throws Error naming what did not come about */
export async function until(what: string, holds: () => boolean | Promise<boolean>, timeoutMs = 300_000): Promise<void> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    if (await holds()) return
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
