import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { connect, isIPv6 } from 'node:net'
import type { Clock } from '#core/time/clock.ts'
import { framed, messagesIn } from './frames.ts'
import type { ResolverSettings } from './resolv-conf.ts'

/** Questions that may wait for other resolvers at once: beyond, who asks is told so, and asks again. */
const OUTSTANDING_MAX = 1024
/** One server's silence must not use up the time that an application's own resolver has, which is 5 s a try. */
const TRY_MS_MAX = 2000

/** Hands questions that are not the mesh's to the host's own resolvers, byte for byte. */
export class Forwarder {
  readonly #clock: Clock
  readonly #settings: ResolverSettings
  #outstanding = 0

  constructor(clock: Clock, settings: ResolverSettings) {
    this.#clock = clock
    this.#settings = settings
  }

  get outstanding(): number {
    return this.#outstanding
  }

  /** The answer, under the question's own id; undefined: nobody answered, or too many wait already. A truncated answer is passed on as it is: who asked comes again over TCP. */
  async ask(query: Buffer, over: 'udp' | 'tcp'): Promise<Buffer | undefined> {
    if (this.#outstanding >= OUTSTANDING_MAX) return undefined
    this.#outstanding += 1
    try {
      const { servers, attempts, timeoutMs } = this.#settings
      for (let attempt = 0; attempt < attempts; attempt++) {
        for (const server of servers) {
          // A new id and, by a new socket, a new port for each try: an answer that somebody else sends has to guess both (RFC 5452).
          const asked = Buffer.from(query)
          asked.writeUInt16BE(randomInt(0x1_0000), 0)
          const withinMs = Math.min(timeoutMs, TRY_MS_MAX)
          const answer = await (over === 'udp' ? this.#overUdp(asked, server, withinMs) : this.#overTcp(asked, server, withinMs))
          if (answer === undefined) continue
          query.copy(answer, 0, 0, 2)
          return answer
        }
      }
      return undefined
    } finally {
      this.#outstanding -= 1
    }
  }

  #overUdp(asked: Buffer, { address, port }: ResolverSettings['servers'][number], withinMs: number): Promise<Buffer | undefined> {
    return new Promise((resolve) => {
      const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
      const end = (answer?: Buffer): void => {
        timer.cancel()
        socket.removeAllListeners()
        // Closing tells nobody anything more; an error on the way there is nobody's.
        socket.on('error', () => {})
        socket.close()
        resolve(answer)
      }
      const timer = this.#clock.after(withinMs, () => end())
      socket.on('error', () => end())
      // Connected: only this server's datagrams come in.
      socket.on('message', (answer: Buffer) => answers(answer, asked) && end(answer))
      socket.on('connect', () => socket.send(asked))
      socket.connect(port, address)
    })
  }

  #overTcp(asked: Buffer, { address, port }: ResolverSettings['servers'][number], withinMs: number): Promise<Buffer | undefined> {
    return new Promise((resolve) => {
      const socket = connect({ host: address, port })
      const end = (answer?: Buffer): void => {
        timer.cancel()
        socket.destroy()
        resolve(answer)
      }
      const timer = this.#clock.after(withinMs, () => end())
      socket.on('error', () => end())
      socket.on('close', () => end())
      const take = messagesIn((answer) => answers(answer, asked) && end(Buffer.from(answer)))
      socket.on('data', take)
      socket.write(framed(asked))
    })
  }
}

/** Whether a message is a response to exactly this question: its id, and the question as it was asked. */
function answers(answer: Buffer, asked: Buffer): boolean {
  if (answer.length < 12 || answer.readUInt16BE(0) !== asked.readUInt16BE(0) || ((answer[2] ?? 0) & 0x80) === 0) return false
  // Some servers leave the question out of what they refuse.
  if (answer.readUInt16BE(4) === 0) return ((answer[3] ?? 0) & 0x0f) !== 0
  const end = questionEnd(asked)
  // Names compare without regard to case (RFC 1035 §2.3.3); the bytes of type and class are no letters.
  return end !== undefined && answer.length >= end && answer.toString('latin1', 12, end).toLowerCase() === asked.toString('latin1', 12, end).toLowerCase()
}

/** Where the one question of a query ends: names in questions are never compressed. */
function questionEnd(query: Buffer): number | undefined {
  let at = 12
  while (at < query.length) {
    const length = query[at] ?? 0
    if (length > 63) return undefined
    at += 1 + length
    if (length === 0) return at + 4 <= query.length ? at + 4 : undefined
  }
  return undefined
}
