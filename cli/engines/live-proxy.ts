import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import type net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { formatSpiffeId } from '#core/identity/spiffe.ts'
import type { Doors } from '#core/time/clock.ts'
import { formatSocketAddress } from '#core/workload/node-message.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { SocketAddress } from '#core/workload/workload.ts'
import { jsonLog } from '#proxy/admin/log.ts'
import { envoyBootstrap } from '#proxy/bootstrap/envoy-bootstrap.ts'
import { SecretServer } from '#proxy/engine/secret-server.ts'
import { certificateService } from '#proxy/identity/certificate-service.ts'
import { WorkloadIdentity } from '#proxy/identity/workload-identity.ts'
import { type Host, thisMachine } from './hosts.ts'
import { onExit } from './on-exit.ts'
import { wasmModule } from './wasm-module.ts'

/** What carries the traffic: the bundled engine's files, or a stock Envoy's binary. */
export type EngineParts = { readonly kind: 'weft'; readonly proxy: string; readonly gateway: string } | { readonly kind: 'envoy'; readonly binary: string }

/** One request as a proxy's access log tells it; fields as translation names them. */
export type LogLine = Readonly<Record<string, unknown>>

export interface ProxyOptions {
  readonly doors: Doors
  readonly parts: EngineParts
  readonly node: ProxyNode
  /** Where it runs; absent: on this machine. */
  readonly host?: Host
  readonly trustDomain: string
  /** `127.0.0.1:PORT` of discovery, and the root that it is certified by. */
  readonly target: string
  readonly rootPem: string
  readonly joinToken: string
}

const ADMIN_PORT = 15_000
const ADMIN_WITHIN_MS = 10_000
const READY_WITHIN_MS = 300_000
const LOOK_EVERY_MS = 15
const CERTIFICATE_MS = 3_600_000
const LOG_EVERY_MS = 20
const SAID_MAX = 16_384
const SHOWN_MAX = 1500

/** A sidecar or gateway as a process of its own, and what it logs. */
export class LiveProxy {
  readonly node: ProxyNode
  readonly #host: Host
  readonly #admin: SocketAddress
  readonly #doors: Doors
  readonly #folder: string
  readonly #cleanUp: (() => void)[] = []
  readonly #lines: LogLine[] = []
  readonly #listening = new Set<() => void>()
  #child: ChildProcess | undefined
  #said = ''
  #ended = false
  readonly #asksForLogs: boolean

  private constructor(options: ProxyOptions) {
    this.node = options.node
    this.#host = options.host ?? thisMachine
    // Traffic that is captured comes from another network, in which the admin port is nobody else's.
    this.#admin = { address: this.#host === thisMachine ? options.node.address : '127.0.0.1', port: ADMIN_PORT }
    this.#asksForLogs = options.parts.kind === 'weft'
    this.#doors = options.doors
    this.#folder = mkdtempSync(path.join(tmpdir(), 'weft-play-'))
    // Whatever ends this process must not leave its proxies behind.
    this.#cleanUp.push(
      onExit(() => {
        this.#child?.kill('SIGKILL')
        rmSync(this.#folder, { recursive: true, force: true })
      }),
    )
  }

  /** Resolves when it has its configuration and listens. @throws Error with its own words when it does not get there */
  static async start(options: ProxyOptions): Promise<LiveProxy> {
    const proxy = new LiveProxy(options)
    try {
      await (options.parts.kind === 'weft' ? proxy.#startWeft(options, options.parts) : proxy.#startEnvoy(options, options.parts.binary))
      await proxy.#ready()
      return proxy
    } catch (error) {
      await proxy.stop()
      throw error
    }
  }

  /** How many lines have come: where to look from for what comes later. */
  get linesSoFar(): number {
    return this.#lines.length
  }

  /** Lines since the first `from` that satisfy `wanted`; waits for `count` of them, for so long. */
  async logged(wanted: (line: LogLine) => boolean, count: number, withinMs: number, from = 0): Promise<LogLine[]> {
    const deadlineMs = this.#doors.clock.monotonicMs() + withinMs
    for (;;) {
      const found = this.#lines.slice(from).filter(wanted)
      if (found.length >= count || this.#ended || this.#doors.clock.monotonicMs() >= deadlineMs) return found
      // Envoy was told to write at once; the bundled engine is asked each time.
      if (this.#asksForLogs) await this.#askAdmin('POST', '/reopen_logs')
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, LOG_EVERY_MS)
        const listening = this.#listening
        function done(): void {
          clearTimeout(timer)
          listening.delete(done)
          resolve()
        }
        listening.add(done)
      })
    }
  }

  /** The lines of its metrics, as Prometheus reads them. */
  metrics(): Promise<string[]> {
    return new Promise((resolve) => {
      const request = http.get({ host: this.node.address, port: ADMIN_PORT, path: '/stats/prometheus', agent: false, timeout: ADMIN_WITHIN_MS }, (response) => {
        let text = ''
        response.on('data', (chunk: Buffer) => (text += chunk.toString()))
        response.on('close', () => resolve(text.split('\n')))
      })
      request.on('timeout', () => request.destroy())
      request.on('error', () => resolve([]))
    })
  }

  /** At once: nothing of it is needed any more. */
  async stop(): Promise<void> {
    const child = this.#child
    if (child !== undefined && !this.#ended) {
      const gone = new Promise<void>((resolve) => child.once('close', () => resolve()))
      child.kill('SIGKILL')
      await gone
    }
    for (const one of this.#cleanUp) one()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #startWeft({ node, target, rootPem, joinToken, trustDomain }: ProxyOptions, parts: { readonly proxy: string; readonly gateway: string }): Promise<void> {
    const rootFile = path.join(this.#folder, 'root.pem')
    writeFileSync(rootFile, rootPem)
    this.#run(process.execPath, ['--disable-warning=ExperimentalWarning', node.type === 'router' ? parts.gateway : parts.proxy], {
      WEFT_XDS: target,
      WEFT_XDS_ROOT: rootFile,
      WEFT_JOIN_TOKEN: joinToken,
      WEFT_NAME: node.name,
      WEFT_NAMESPACE: node.namespace,
      WEFT_SERVICE_ACCOUNT: node.serviceAccount,
      WEFT_TRUST_DOMAIN: trustDomain,
      WEFT_LABELS: JSON.stringify(node.labels),
      WEFT_ADDRESS: (node.addresses ?? [node.address]).join(','),
      WEFT_ADMIN: formatSocketAddress(this.#admin),
      WEFT_NETWORK: node.network,
      WEFT_LOCALITY: node.locality,
      WEFT_LOG_LEVEL: 'warn',
      ...(node.outbound === undefined ? {} : { WEFT_OUTBOUND: formatSocketAddress(node.outbound) }),
      ...(node.ports.length === 0 ? {} : { WEFT_PORTS: JSON.stringify(node.ports) }),
      ...(node.type === 'router' ? { WEFT_GATEWAY_ADDRESS: node.gatewayAddress, WEFT_GATEWAY_PORTS: JSON.stringify(Object.fromEntries(node.gatewayPorts)) } : {}),
    })
  }

  /** Envoy itself; the agent that serves its certificate runs in this process. */
  async #startEnvoy({ doors, node, target, rootPem, joinToken, trustDomain }: ProxyOptions, binary: string): Promise<void> {
    const controlPlane = { target, rootsPem: rootPem, serverName: undefined }
    const sdsSocket = path.join(this.#folder, 'sds.sock')
    const configFile = path.join(this.#folder, 'envoy.json')
    writeFileSync(configFile, JSON.stringify(envoyBootstrap({ node, controlPlane, admin: this.#admin, sdsSocket })))
    writeFileSync(path.join(this.#folder, 'plugin.wasm'), wasmModule)
    const log = jsonLog(doors.clock, (line) => this.#hear(line), 'warn')
    const secrets = new SecretServer()
    await secrets.listen(sdsSocket)
    const uri = formatSpiffeId({ trustDomain, namespace: node.namespace, serviceAccount: node.serviceAccount })
    const identity = new WorkloadIdentity(doors, { uri, lifetimeMs: CERTIFICATE_MS, joinToken: () => joinToken }, certificateService(controlPlane, () => doors.clock.wallMs()), log)
    this.#cleanUp.push(() => identity.stop(), () => secrets.stop())
    await new Promise<void>((resolve) => {
      identity.subscribe((certificate) => {
        secrets.useIdentity(certificate)
        resolve()
      })
      identity.start()
    })
    this.#run(binary, ['-c', configFile, '--use-dynamic-base-id', '--concurrency', '1', '--log-level', 'error', '--file-flush-interval-msec', '20'], {})
  }

  #run(command: string, args: readonly string[], environment: Record<string, string>): void {
    const [first, ...rest] = this.#host.command([command, ...args])
    const child = spawn(first, rest, { cwd: this.#folder, stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env['PATH'] ?? '', TMPDIR: tmpdir(), ...environment } })
    this.#child = child
    child.once('error', (error) => this.#hear(error.message))
    child.once('close', () => (this.#ended = true))
    child.stderr.on('data', (text: Buffer) => this.#hear(text.toString()))
    createInterface({ input: child.stdout }).on('line', (line) => {
      try {
        this.#lines.push(JSON.parse(line) as LogLine)
      } catch {
        this.#hear(`${line}\n`)
      }
      for (const listening of this.#listening) listening()
    })
  }

  #hear(text: string): void {
    this.#said = (this.#said + text).slice(-SAID_MAX)
  }

  async #ready(): Promise<void> {
    const deadlineMs = this.#doors.clock.monotonicMs() + READY_WITHIN_MS
    while ((await this.#askAdmin('GET', '/ready')) !== 200) {
      if (this.#ended) throw new Error(`the proxy of ${this.node.name}.${this.node.namespace} ended: ${this.#said.slice(-SHOWN_MAX)}`)
      if (this.#doors.clock.monotonicMs() > deadlineMs) throw new Error(`the proxy of ${this.node.name}.${this.node.namespace} was not ready within ${READY_WITHIN_MS} ms: ${this.#said.slice(-SHOWN_MAX)}`)
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
    }
  }

  /** The status that the admin port answers; undefined: none. */
  async #askAdmin(method: string, page: string): Promise<number | undefined> {
    let socket: net.Socket
    try {
      socket = await this.#host.dial(this.#admin.address, this.#admin.port)
    } catch {
      return undefined
    }
    return await new Promise((resolve) => {
      const request = http.request({ createConnection: () => socket, method, path: page, timeout: ADMIN_WITHIN_MS }, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
      request.on('timeout', () => request.destroy())
      request.on('error', () => resolve(undefined))
      request.on('close', () => resolve(undefined))
      request.end()
    })
  }
}
