import type { Socket } from 'node:net'
import type { Clock } from '#core/time/clock.ts'
import { readProxyHeader } from '../tcp/proxy-header.ts'
import type { ProxiedConnection, ProxyVersions } from '../tcp/proxy-header.ts'

/** How a listener takes the header. */
export interface ProxyHeaderPlan {
  readonly versions: ProxyVersions
  /** Connections without one are served as they are. */
  readonly optional: boolean
}

/**
 * Reads the header off an accepted socket; what came behind it is put back. `settled` gets what it said, undefined where a connection without one is taken;
 * a connection that lacks it, or does not say it by `withinMs`, is closed, and `gone` told.
 */
export function awaitProxyHeader(socket: Socket, plan: ProxyHeaderPlan, clock: Clock, withinMs: number, settled: (header: ProxiedConnection | undefined) => void, gone: () => void): void {
  let seen: Buffer = Buffer.alloc(0)
  const stop = (): void => {
    timer.cancel()
    socket.off('data', onData).off('end', onGone).off('error', onGone).off('close', onGone)
  }
  const onGone = (): void => {
    stop()
    gone()
    // A late error of a socket that nobody listens to would end the process.
    socket.on('error', () => {})
    socket.destroy()
  }
  const settle = (header: ProxiedConnection | undefined): void => {
    stop()
    socket.pause()
    const rest = header === undefined ? seen : seen.subarray(header.length)
    if (rest.length > 0) socket.unshift(rest)
    settled(header)
    // Whoever listens now gets what was put back.
    socket.resume()
  }
  const onData = (bytes: Buffer): void => {
    seen = seen.length === 0 ? bytes : Buffer.concat([seen, bytes])
    const header = readProxyHeader(seen, plan.versions)
    if (header === 'lacking') return
    if (header === 'bad' || (header === 'none' && !plan.optional)) onGone()
    else settle(header === 'none' ? undefined : header)
  }
  // Where the server speaks first, a client without a header stays silent.
  const timer = clock.after(withinMs, () => (plan.optional && seen.length === 0 ? settle(undefined) : onGone()))
  socket.on('data', onData).on('end', onGone).on('error', onGone).on('close', onGone)
}
