import { createServer, type Server } from 'node:net'

/** Addresses on loopback that this process alone hands out. */
export interface AddressBlock {
  /** The `index`-th, from 0. */
  at(index: number): string
  release(): Promise<void>
}

/** Whoever holds this port of a block's last address holds the block. */
const CLAIM_PORT = 15_999
const TRIES = 500
/** 127.64.0.0 and on: what people choose by hand lies below. */
const FIRST = 64
const INDEX_MAX = 250

/**
 * Claims 127.B.C.0/24 for the life of the process, or until it is released; two processes never get the same one.
 * @throws Error when hundreds of them are taken
 */
export async function claimBlock(draw: () => number): Promise<AddressBlock> {
  for (let tries = 0; tries < TRIES; tries++) {
    const prefix = `127.${FIRST + Math.floor(draw() * (255 - FIRST))}.${Math.floor(draw() * 256)}`
    const claim = await listen(`${prefix}.254`)
    if (claim === undefined) continue
    return {
      at: (index) => {
        if (index >= INDEX_MAX) throw new Error(`a case may have ${INDEX_MAX} workloads and gateways`)
        return `${prefix}.${index + 2}`
      },
      release: () => new Promise((resolve) => claim.close(() => resolve())),
    }
  }
  throw new Error('no free addresses on loopback were found')
}

const listen = (address: string): Promise<Server | undefined> =>
  new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', () => resolve(undefined))
    server.listen({ host: address, port: CLAIM_PORT, exclusive: true }, () => {
      server.unref()
      resolve(server)
    })
  })
