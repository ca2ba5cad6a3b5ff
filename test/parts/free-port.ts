import dgram from 'node:dgram'
import net from 'node:net'

/** Below those that systems give to whoever connects or asks for any (by default from 32768), and apart from those that `weft up` chooses. */
const FROM = 16_000
const COUNT = 11_000
/** Whoever has a port of UDP here has it of TCP on 127.0.0.1. */
const CLAIMS = '127.255.254.253'

let next = process.pid * 131

/**
 * A port of 127.0.0.1 for a process that can be told only which one to take: nobody listens on it, the system gives it to nobody, and no other test process is given it while this one lives.
 * @throws Error when all are taken
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < COUNT; tries++) {
    const port = FROM + (next++ % COUNT)
    if ((await claimed(port)) && (await isFree(port))) return port
  }
  throw new Error('no free port')
}

const claimed = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const claim = dgram.createSocket('udp4')
    claim.once('error', () => resolve(false))
    claim.bind({ address: CLAIMS, port, exclusive: true }, () => {
      claim.unref()
      resolve(true)
    })
  })

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = net.createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ host: '127.0.0.1', port, exclusive: true }, () => probe.close(() => resolve(true)))
  })
