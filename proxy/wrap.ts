import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import type { Clock } from '#core/time/clock.ts'
import type { WorkloadPort } from '#core/workload/workload.ts'
import type { Log } from './admin/log.ts'
import { awaitPorts } from './await-ports.ts'

/** What is in flight when the application is told to end may take this long before it is told; beyond, it is told all the same. */
const INBOUND_END_MS = 5000
/** The proxy ends this long after its application at the latest: a Job is over when its work is. */
const END_MS = 1500
const WAITING_MS = 10_000
/** POSIX shells' words for a command that is not there, and for one that cannot be run. */
const NOT_FOUND = 127
const NOT_RUNNABLE = 126

/** What stands around an application, on either engine. */
export interface Wrapper {
  readonly ready: Promise<void>
  /** The exit code of what carries the traffic, should it end by itself. */
  readonly ended: Promise<number>
  announce(): void
  leaveInbound(withinMs: number): Promise<void>
  stop(): Promise<void>
}

/**
 * Runs an application inside the proxy's life: it starts when the proxy is ready, so that its first call goes through; the mesh calls it once it listens on its ports; at SIGTERM new inbound requests stop first and those in flight end,
 * then the application is told, and outbound stays open until it is gone; the proxy follows it within two seconds.
 * @returns the application's exit code; 128 and the signal's number when a signal ended it
 */
export async function wrapCommand(proxy: Wrapper, command: readonly string[], ports: readonly WorkloadPort[], clock: Clock, log: Log): Promise<number> {
  const [program = '', ...parameters] = command
  let ending = false
  let tellApplication = (_signal: NodeJS.Signals): void => {}
  const signalled = new Promise<void>((resolve) => {
    const end = (signal: NodeJS.Signals): void => {
      // A second signal is not for waiting.
      if (ending) return tellApplication(signal)
      ending = true
      void proxy.leaveInbound(INBOUND_END_MS).then(() => tellApplication(signal))
      resolve()
    }
    process.on('SIGTERM', end)
    process.on('SIGINT', end)
  })

  const waiting = clock.every(WAITING_MS, () => log.warn('wrap.waiting-for-proxy', { command: program }))
  await Promise.race([proxy.ready, signalled])
  waiting.cancel()
  // Replaced by a newer process that then failed, there is nothing left to call through.
  void proxy.ended.then(() => tellApplication('SIGTERM'))
  const awaited = awaitPorts(ports.map(({ app }) => app), clock, () => proxy.announce())
  const code = ending ? 128 + constants.signals.SIGTERM : await runApplication(program, parameters, log, (tell) => (tellApplication = tell))

  awaited.cancel()
  await Promise.race([proxy.stop(), new Promise<void>((resolve) => clock.after(END_MS, resolve))])
  return code
}

function runApplication(program: string, parameters: readonly string[], log: Log, handOver: (tell: (signal: NodeJS.Signals) => void) => void): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(program, parameters, { stdio: 'inherit' })
    handOver((signal) => child.kill(signal))
    child.once('spawn', () => log.info('wrap.started', { command: program, pid: child.pid ?? 0 }))
    child.once('error', (error: NodeJS.ErrnoException) => {
      log.error('wrap.not-started', { command: program, error: error.message })
      resolve(error.code === 'ENOENT' ? NOT_FOUND : NOT_RUNNABLE)
    })
    child.once('exit', (code, signal) => {
      const status = code ?? 128 + (signal === null ? 0 : constants.signals[signal])
      log.info('wrap.ended', { command: program, code: status, signal: signal ?? '' })
      resolve(status)
    })
  })
}
