import { connect } from 'node:net'
import type { Clock, Timer } from '#core/time/clock.ts'
import type { SocketAddress } from '#core/workload/workload.ts'

const PAUSE_MS = 100

/** Calls `listening` once every address takes connections; at once when there is none to ask. */
export function awaitPorts(addresses: readonly SocketAddress[], clock: Clock, listening: () => void): Timer {
  let pause: Timer | undefined
  let cancelled = false
  const ask = async (): Promise<void> => {
    const answers = await Promise.all(addresses.map(takesConnections))
    if (cancelled) return
    if (answers.every(Boolean)) listening()
    else pause = clock.after(PAUSE_MS, () => void ask())
  }
  void ask()
  return {
    cancel() {
      cancelled = true
      pause?.cancel()
    },
  }
}

function takesConnections({ address, port }: SocketAddress): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address.startsWith('unix:') ? { path: address.slice('unix:'.length) } : { host: address, port })
    const settle = (takes: boolean): void => {
      socket.destroy()
      resolve(takes)
    }
    socket.once('connect', () => settle(true)).once('error', () => settle(false))
  })
}
