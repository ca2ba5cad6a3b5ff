import { createServer } from 'node:net'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

/** The ports of one `weft up`; kept in its data folder, so that a second start is found where the first one was. */
export interface Ports {
  readonly rest: number
  readonly xds: number
  readonly monitoring: number
  readonly gatewayHttps: number
  readonly gatewayHttp: number
  readonly gatewayAdmin: number
  /** The workloads' addresses: 127.0.BLOCK.2 and on. */
  readonly block: number
}

const usual: Ports = { rest: 8080, xds: 15012, monitoring: 15014, gatewayHttps: 8443, gatewayHttp: 8081, gatewayAdmin: 15100, block: 1 }

const isFree = (address: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: address, exclusive: true }, () => server.close(() => resolve(true)))
  })

const PORTS_PER_BLOCK = 16
const BLOCKS = 250
const LOWEST = 10_000
/** The one in reach that browsers, and fetch, refuse to ask (Fetch Standard, "Port blocking"). */
const REFUSED = 10_080

/**
 * Free ports, each asked for once: below those that systems give to whoever connects (RFC 6056 §3.1, by default from 32768), for it takes a while until they are bound. Whoever has a block
 * has its ports, so two that start at once choose others; the rest is for ports that someone else happens to have.
 */
export function* lowPorts(block: number): Generator<number> {
  for (let port = LOWEST + block * PORTS_PER_BLOCK; port < LOWEST + (block + 1) * PORTS_PER_BLOCK; port++) if (port !== REFUSED) yield port
  const rest = LOWEST + BLOCKS * PORTS_PER_BLOCK
  for (let step = 0; step < 1000; step++) yield rest + ((process.pid * 97 + step) % 1000)
}

async function nextFree(ports: Iterator<number>): Promise<number> {
  for (let one = ports.next(); one.done !== true; one = ports.next()) if (await isFree('127.0.0.1', one.value)) return one.value
  throw new Error('no free port')
}

/**
 * The contract's ports where they are free, others where not; with `base`, BASE and the ones after it (0: any free ones).
 * @throws Error naming a port of an explicit base that is taken
 */
export async function choosePorts(dataDir: string, base: number | undefined): Promise<Ports> {
  const file = path.join(dataDir, 'ports.json')
  const remembered = readPorts(file)
  if (remembered && base === undefined) {
    // The proxies' ports may still be held by proxies that outlived a killed control plane, and are taken over.
    for (const name of ['rest', 'xds', 'monitoring'] as const) {
      if (!(await isFree('127.0.0.1', remembered[name]))) throw new Error(`port ${remembered[name]} (${name}), which this folder had at its last start, is taken: free it, or choose others with --port-base 0`)
    }
    if (!(await claimBlock(remembered.block))) throw new Error(`the addresses 127.0.${remembered.block}.*, which this folder had at its last start, belong to another weft up: end it, or choose others with --port-base 0`)
    return remembered
  }
  const ports = await freshPorts(base)
  writeFileSync(file, JSON.stringify(ports), { mode: 0o600 })
  return ports
}

/** Takes a block for as long as this process lives, so that another `weft up` that starts at the same moment takes the next one. */
const claimBlock = (block: number): Promise<boolean> =>
  new Promise((resolve) => {
    const claim = createServer()
    claim.unref()
    claim.once('error', () => resolve(false))
    claim.listen({ port: 15_000, host: `127.0.${block}.1`, exclusive: true }, () => resolve(true))
  })

/** Nobody else's shop stands there, not even one that is just ending. */
async function isFreeBlock(block: number): Promise<boolean> {
  const places = await Promise.all([2, 3, 4, 5].flatMap((host) => [8080, 15_000, 15_001, 15_006].map((port) => isFree(`127.0.${block}.${host}`, port))))
  return places.every((free) => free)
}

function readPorts(file: string): Ports | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Ports
  } catch {
    // The first start in this folder.
    return undefined
  }
}

async function freshPorts(base: number | undefined): Promise<Ports> {
  const names = ['rest', 'xds', 'monitoring', 'gatewayHttps', 'gatewayHttp', 'gatewayAdmin'] as const
  const chosen: Record<(typeof names)[number], number> = { ...usual }
  const taken = new Set<number>()
  const block = await freshBlock(base)
  const others = lowPorts(block)
  for (const [index, name] of names.entries()) {
    const wanted = base === undefined ? usual[name] : base === 0 ? 0 : base + index
    let port = wanted
    if (wanted === 0 || !(await isFree('127.0.0.1', wanted))) {
      if (base !== undefined && base !== 0) throw new Error(`port ${wanted} (${name}) is taken; choose another --port-base`)
      do port = await nextFree(others)
      while (taken.has(port))
    }
    taken.add(port)
    chosen[name] = port
  }
  return { ...chosen, block }
}

/** The first that is free. Where any will do each process begins elsewhere, so that it does not get the block of one that has ended and is about to start again. */
async function freshBlock(base: number | undefined): Promise<number> {
  const first = base === 0 ? usual.block + 1 + (process.pid % (BLOCKS - 10)) : usual.block
  for (let step = 0; step < BLOCKS - 1; step++) {
    const block = 1 + ((first - 1 + step) % (BLOCKS - 1))
    if ((await isFreeBlock(block)) && (await claimBlock(block))) return block
  }
  throw new Error('no addresses 127.0.BLOCK.* are free')
}
