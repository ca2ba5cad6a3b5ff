import { readFileSync } from 'node:fs'

/** `net.ipv4`'s table of connections: its timers count hundredths of a second on every Linux. */
const TABLE = '/proc/net/tcp'
const TICKS_PER_SECOND = 100
const KEEPALIVE_TIMER = '02'
const ESTABLISHED = '01'
/** Until bytes are acknowledged the kernel shows the timer of that in the place of the other; while it handles a timer it shows none; and its table, read in pieces, can skip a line. */
const LOOK_EVERY_MS = 20

/** Milliseconds until the kernel probes the connection whose local end is this, once what it carries has been acknowledged; undefined: it does not within that time. `local` is `ADDRESS:PORT`. */
export async function keepAliveInMs(local: string, withinMs: number): Promise<number | undefined> {
  const deadlineMs = performance.now() + withinMs
  for (;;) {
    const { kind, inMs } = timerOf(local)
    if (kind === KEEPALIVE_TIMER) return inMs
    if (performance.now() > deadlineMs) return undefined
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  }
}

function timerOf(local: string): { kind: string; inMs: number } {
  const at = local.lastIndexOf(':')
  const port = Number(local.slice(at + 1)).toString(16).toUpperCase().padStart(4, '0')
  const address = local.slice(0, at).split('.').reverse().map((one) => Number(one).toString(16).toUpperCase().padStart(2, '0')).join('')
  for (const line of readFileSync(TABLE, 'utf8').split('\n').slice(1)) {
    // A port may be there once more, for an older connection elsewhere that waits to be forgotten.
    const [, own, , state, , timer = ''] = line.trim().split(/\s+/)
    if (own !== `${address}:${port}` || state !== ESTABLISHED) continue
    const [kind = '', ticks = ''] = timer.split(':')
    return { kind, inMs: (Number.parseInt(ticks, 16) * 1000) / TICKS_PER_SECOND }
  }
  return { kind: '', inMs: 0 }
}
