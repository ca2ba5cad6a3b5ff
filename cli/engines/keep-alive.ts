import { readFileSync } from 'node:fs'

/** `net.ipv4`'s table of connections: its timers count hundredths of a second on every Linux. */
const TABLE = '/proc/net/tcp'
const TICKS_PER_SECOND = 100
const KEEPALIVE_TIMER = '02'

/** Milliseconds until the kernel probes the connection whose local end is this; undefined: it does not. `local` is `ADDRESS:PORT`. */
export function keepAliveInMs(local: string): number | undefined {
  const at = local.lastIndexOf(':')
  const port = Number(local.slice(at + 1)).toString(16).toUpperCase().padStart(4, '0')
  const address = local.slice(0, at).split('.').reverse().map((one) => Number(one).toString(16).toUpperCase().padStart(2, '0')).join('')
  for (const line of readFileSync(TABLE, 'utf8').split('\n').slice(1)) {
    const [, own, , , , timer = ''] = line.trim().split(/\s+/)
    if (own !== `${address}:${port}`) continue
    const [kind, ticks = ''] = timer.split(':')
    return kind === KEEPALIVE_TIMER ? (Number.parseInt(ticks, 16) * 1000) / TICKS_PER_SECOND : undefined
  }
  return undefined
}
