import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:os'
import type { Clock } from '#core/time/clock.ts'
import type { Log } from '../admin/log.ts'
import type { Environment } from '../bootstrap/variables.ts'
import type { Proxy } from '../start.ts'
import { give, giveThreads } from './give.ts'
import type { SocketHandle } from './listening-sockets.ts'
import { GIVES_THREADS, SUCCESSOR_VARIABLE, type ToPredecessor, type ToSuccessor } from './messages.ts'

/** A successor that is not ready by then is given up, and the proxy that runs goes on. */
const READY_MS = 120_000

/**
 * A proxy that can be replaced while it serves. The first process stays, for whoever watches it knows its id and may be its child; what changes is who carries the traffic:
 * itself, then a process started from the program as it is on disk now. The newcomer takes the listening sockets over, so that no connection finds a closed port;
 * once it is ready the one before it drains as at its end. When anything fails on the way, nothing has changed.
 */
export class Succession {
  readonly #clock: Clock
  readonly #log: Log
  readonly #environment: Environment
  readonly #first: Proxy
  #successor: ChildProcess | undefined
  /** Started, and not yet ready. */
  #next: ChildProcess | undefined
  #stopping = false
  /** Those that take, and so give, the sockets of threads. */
  readonly #withThreads = new WeakSet<ChildProcess>()
  /** The exit code of the process that carries the traffic, should it end by itself. */
  readonly ended: Promise<number>
  #tellEnded = (_code: number): void => {}

  /** `environment`: this process's own, for those that follow. */
  constructor(clock: Clock, log: Log, environment: Environment, first: Proxy) {
    this.#environment = environment
    this.#clock = clock
    this.#log = log
    this.#first = first
    this.ended = new Promise((resolve) => (this.#tellEnded = resolve))
  }

  get ready(): Promise<void> {
    return this.#first.ready
  }

  /** As `Proxy.announce`; a successor inherits it. */
  announce(): void {
    this.#first.announce()
  }

  /** True when a new process carries the traffic. One upgrade at a time. */
  async upgrade(): Promise<boolean> {
    if (this.#next !== undefined || this.#stopping) return false
    const before = this.#successor
    const next = (this.#next = this.#start())
    try {
      const ready = this.#untilReady(next)
      next.on('message', (message: ToPredecessor) => {
        if (message.kind !== 'give-threads') return
        this.#withThreads.add(next)
        if (before === undefined) void giveThreads(this.#first, (given, handle, sent) => tell(next, given, handle, sent))
        else if (this.#withThreads.has(before)) passOn(before, next, 'give-threads', 'threads-given')
        else tell(next, { kind: 'threads-given' })
      })
      if (before === undefined) give(this.#first, (given, handle) => tell(next, given, handle))
      else passOn(before, next, 'give', 'all-given')
      if (!(await ready)) {
        next.kill('SIGKILL')
        return false
      }
      this.#successor = next
      next.once('exit', (code, signal) => {
        if (this.#successor === next) this.#tellEnded(code ?? 128 + (signal === null ? 0 : constants.signals[signal]))
      })
      this.#log.info('upgrade.done', { pid: next.pid ?? 0 })
      if (before === undefined) void this.#first.stop()
      else tell(before, { kind: 'retire' })
      return true
    } finally {
      this.#next = undefined
    }
  }

  #start(): ChildProcess {
    this.#log.info('upgrade.starting', { program: process.argv[1] ?? '' })
    return spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
      env: { ...this.#environment, [SUCCESSOR_VARIABLE]: GIVES_THREADS },
      stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    })
  }

  #untilReady(next: ChildProcess): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (ready: boolean, why: string): void => {
        timer.cancel()
        next.off('message', onMessage)
        if (!ready) this.#log.error('upgrade.failed', { pid: next.pid ?? 0, why })
        resolve(ready)
      }
      const onMessage = (message: ToPredecessor): void => {
        if (message.kind === 'ready') settle(true, '')
      }
      const timer = this.#clock.after(READY_MS, () => settle(false, `not ready within ${READY_MS / 1000} s`))
      next.on('message', onMessage)
      next.once('error', (error) => settle(false, error.message))
      next.once('exit', (code, signal) => settle(false, `ended with ${signal ?? code}`))
    })
  }

  /** As `Proxy.leaveInbound`, of whoever carries the traffic. */
  async leaveInbound(withinMs: number): Promise<void> {
    const successor = this.#successor
    if (successor === undefined) return this.#first.leaveInbound(withinMs)
    await new Promise<void>((resolve) => {
      successor.on('message', (message: ToPredecessor) => {
        if (message.kind === 'left-inbound') resolve()
      })
      successor.once('exit', () => resolve())
      tell(successor, { kind: 'leave-inbound', withinMs })
    })
  }

  /** Drains and ends whoever carries the traffic. */
  async stop(): Promise<void> {
    this.#stopping = true
    this.#next?.kill('SIGKILL')
    const successor = this.#successor
    this.#successor = undefined
    const gone = successor === undefined || successor.exitCode !== null || successor.signalCode !== null ? undefined : new Promise((resolve) => successor.once('exit', resolve))
    if (gone !== undefined) successor?.kill('SIGTERM')
    await Promise.all([this.#first.stop(), gone])
  }
}

function tell(to: ChildProcess, message: ToSuccessor, handle?: SocketHandle, sent: () => void = () => {}): void {
  if (to.connected) to.send(message, handle as never, {}, sent)
  else sent()
}

/** From one child to the next, all that the first gives when it is asked, up to the last of it. */
function passOn(before: ChildProcess, next: ChildProcess, asked: 'give' | 'give-threads', last: 'all-given' | 'threads-given'): void {
  const onMessage = (message: ToPredecessor, handle: unknown): void => {
    const { kind } = message
    if (kind !== 'identity' && kind !== 'socket' && kind !== 'all-given' && kind !== 'thread-socket' && kind !== 'threads-given') return
    const socket = handle as SocketHandle | undefined
    tell(next, message, socket, () => socket?.close())
    if (kind === last) before.off('message', onMessage)
  }
  before.on('message', onMessage)
  tell(before, { kind: asked })
}
