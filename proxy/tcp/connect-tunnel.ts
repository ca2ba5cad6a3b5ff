import type { Clock } from '#core/time/clock.ts'
import type { Wire, WireHandler } from '../http/socket.ts'

/** A proxy that says more than this before a tunnel stands is none. */
const HEAD_BYTES_MAX = 64 * 1024
const ACCEPTED = /^HTTP\/1\.[01] 2\d\d[ \r]/

/**
 * Asks the other end of a wire for a tunnel to `target`, HOST:PORT (RFC 9110 §9.3.6). `settled` gets an empty string when it stands, with what came behind the answer's head;
 * else what went wrong.
 */
export function connectTunnel(wire: Wire, target: string, clock: Clock, withinMs: number, settled: (problem: string, rest: Buffer | undefined) => void): void {
  let seen: Buffer = Buffer.alloc(0)
  let over = false
  const settle = (problem: string, rest?: Buffer): void => {
    if (over) return
    over = true
    timer.cancel()
    settled(problem, rest)
  }
  const handler: WireHandler = {
    onRead(bytes, length) {
      if (over) return
      seen = Buffer.concat([seen, bytes.subarray(0, length)])
      const end = seen.indexOf('\r\n\r\n')
      if (end < 0) {
        if (seen.length > HEAD_BYTES_MAX) settle('tunnel_refused:no_answer')
        return
      }
      const first = seen.toString('latin1', 0, seen.indexOf('\r\n') + 1)
      // Any body of a 2xx is the tunnel's own (RFC 9110 §9.3.6): its Content-Length says nothing.
      if (ACCEPTED.test(first)) settle('', end + 4 < seen.length ? seen.subarray(end + 4) : undefined)
      else settle(`tunnel_refused:${/^HTTP\/1\.[01] (\d{3})/.exec(first)?.[1] ?? 'no_answer'}`)
    },
    onReadEnd: () => settle('tunnel_refused:closed'),
    onWritable() {},
    onClosed: (error) => settle(`tunnel_refused:${error === '' ? 'closed' : error}`),
  }
  const timer = clock.after(withinMs, () => settle('tunnel_refused:timeout'))
  wire.handler = handler
  wire.put(`CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\n\r\n`)
  wire.flush()
}
