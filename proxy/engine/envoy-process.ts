import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import type { Doors, Timer } from '#core/time/clock.ts'
import { describeError, type Log } from '../admin/log.ts'
import { parseSocketAddress } from '../bootstrap/variables.ts'
import type { Captured } from '../capture/proof.ts'
import { capturedByEnvoy } from '../capture/envoy-listeners.ts'
import { backOffMs } from '#core/time/back-off.ts'

const RESTART_BASE_MS = 200
const RESTART_MAX_MS = 10_000
/** An Envoy that ran as long as this had a good start: its next crash is a first one. */
const GOOD_RUN_MS = 60_000
const KILL_AFTER_MS = 2000
const LOOK_EVERY_MS = 100
/** A workload that has left and that nobody has called for so long is known to have left. */
const QUIET_MS = 500

/** One Envoy, kept running: a crash is followed by a new start, after a pause that grows. */
export class EnvoyProcess {
  readonly #doors: Doors
  readonly #log: Log
  readonly #binary: string
  readonly #adminAddressFile: string
  #child: ChildProcess | undefined
  #restart: Timer | undefined
  #attempt = 0
  #stopping = false

  constructor(doors: Doors, binary: string, adminAddressFile: string, log: Log) {
    this.#doors = doors
    this.#binary = binary
    this.#adminAddressFile = adminAddressFile
    this.#log = log
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  start(words: readonly string[], environment: Readonly<Record<string, string | undefined>>): void {
    const startedMs = this.#doors.clock.monotonicMs()
    const child = spawn(this.#binary, words, { stdio: ['ignore', 'inherit', 'inherit'], env: { ...environment } })
    this.#child = child
    // An agent that ends before it has waited leaves no Envoy behind.
    const kill = (): void => void child.kill('SIGKILL')
    process.once('exit', kill)
    let over = false
    const ended = (how: object): void => {
      if (over) return
      over = true
      process.off('exit', kill)
      if (this.#child === child) this.#child = undefined
      if (this.#stopping) return
      if (this.#doors.clock.monotonicMs() - startedMs >= GOOD_RUN_MS) this.#attempt = 0
      const delayMs = backOffMs(this.#attempt++, this.#doors.random.draw(), RESTART_BASE_MS, RESTART_MAX_MS)
      this.#log.error('envoy.ended', { ...how, restartInMs: Math.round(delayMs) })
      this.#restart = this.#doors.clock.after(delayMs, () => this.start(words, environment))
    }
    child.once('error', (error) => ended({ error: describeError(error), binary: this.#binary }))
    child.once('exit', (code, signal) => ended({ code, signal }))
  }

  /** Resolves when Envoy has its first configuration and listens, however often it must be started for that; with what it takes that only rules of capture bring. */
  live(): Promise<readonly Captured[]> {
    return new Promise((resolve) => {
      const look = async (): Promise<void> => {
        const isLive = (await this.#admin('GET', '/ready').catch(() => '')).startsWith('LIVE')
        const captured = this.#stopping ? [] : isLive ? await this.#captured() : undefined
        if (captured !== undefined) resolve(captured)
        else this.#doors.clock.after(LOOK_EVERY_MS, () => void look())
      }
      void look()
    })
  }

  /** Undefined: it does not answer. */
  async #captured(): Promise<readonly Captured[] | undefined> {
    try {
      return capturedByEnvoy(await this.#admin('GET', '/listeners?format=json'))
    } catch {
      // It is asked again.
      return undefined
    }
  }

  /** Asks inbound clients to go, and closes inbound listeners in the end; resolves when no inbound request has been under way for a while, or after `withinMs`. Outbound goes on. */
  async drainInbound(withinMs: number): Promise<void> {
    try {
      await this.#admin('POST', '/drain_listeners?inboundonly&graceful')
    } catch (error) {
      this.#log.warn('envoy.drain-failed', { error: describeError(error) })
      return
    }
    await this.#idle(withinMs, /^http\.inbound_/, QUIET_MS)
  }

  /** First, for `announceMs`, readiness fails and answers ask to close, while connections are still taken; then stops new requests, waits for those under way at most `graceMs`, and ends the process. */
  async stop(graceMs: number, announceMs: number): Promise<void> {
    this.#stopping = true
    this.#restart?.cancel()
    const child = this.#child
    if (!child) return
    const exited = once(child, 'exit')
    if (await this.#drain(announceMs, exited)) await Promise.race([exited, this.#idle(graceMs, /^http\.(?!admin\.)/, 0)])
    child.kill('SIGTERM')
    const kill = this.#doors.clock.after(KILL_AFTER_MS, () => child.kill('SIGKILL'))
    await exited
    kill.cancel()
  }

  /** Fails its health check and closes its listeners, in-flight requests kept. False when it does not answer. */
  async #drain(announceMs: number, exited: Promise<unknown>): Promise<boolean> {
    try {
      await this.#admin('POST', '/healthcheck/fail')
      if (announceMs > 0) await Promise.race([exited, new Promise<void>((over) => this.#doors.clock.after(announceMs, over))])
      await this.#admin('POST', '/drain_listeners?graceful')
      return true
    } catch (error) {
      this.#log.warn('envoy.drain-failed', { error: describeError(error) })
      return false
    }
  }

  /** Resolves when for `quietMs` no request has come to the connection managers whose statistics are named so, and none is under way; or after `graceMs`. */
  #idle(graceMs: number, of: RegExp, quietMs: number): Promise<void> {
    const { clock } = this.#doors
    const deadlineMs = clock.monotonicMs() + graceMs
    let [seen, sinceMs] = ['', clock.monotonicMs()]
    return new Promise((resolve) => {
      const look = async (): Promise<void> => {
        const stats = await this.#admin('GET', '/stats?filter=http\\..*downstream_rq_(active|total)$').catch(() => '')
        const lines = stats.split('\n').filter((line) => of.test(line))
        const active = lines.some((line) => line.includes('_active: ') && Number(line.split(': ')[1] ?? 0) > 0)
        const total = lines.filter((line) => line.includes('_total: ')).join()
        if (active || total !== seen) [seen, sinceMs] = [total, clock.monotonicMs()]
        if ((!active && clock.monotonicMs() - sinceMs >= quietMs) || clock.monotonicMs() >= deadlineMs) resolve()
        else clock.after(LOOK_EVERY_MS, () => void look())
      }
      void look()
    })
  }

  async #admin(method: string, path: string): Promise<string> {
    const at = parseSocketAddress(readFileSync(this.#adminAddressFile, 'utf8').trim())
    if (!at) throw new Error(`${this.#adminAddressFile} holds no address`)
    return new Promise((resolve, reject) => {
      const call = request({ host: at.address, port: at.port, method, path, agent: false, timeout: 1000 }, (response) => {
        const parts: Buffer[] = []
        response.on('data', (part: Buffer) => parts.push(part))
        response.on('end', () => resolve(Buffer.concat(parts).toString()))
        response.on('error', reject)
      })
      call.on('error', reject)
      call.on('timeout', () => call.destroy(new Error('no answer within a second')))
      call.end()
    })
  }
}
