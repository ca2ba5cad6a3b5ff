import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FRAME_HEADER_BYTES, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS } from '#proxy/http/h2/frames.ts'
import { TestControlPlane } from '#proxy/testing/control-plane.ts'
import { call, connect } from '#proxy/testing/http2-peers.ts'
import { ask, deadPort, httpServer, until } from '#proxy/testing/peers.ts'
import { putWay } from '#proxy/testing/ways.ts'
import { frame } from './raw-http2.ts'

const root = path.join(import.meta.dirname, '../..')

/** GET / of http://a, by HPACK's static table (RFC 7541, appendix A). */
const request = Buffer.from([0x82, 0x86, 0x84, 0x41, 0x01, 0x61])
const cancel = Buffer.from([0, 0, 0, 8])

interface Flood {
  /** What comes before it. */
  readonly first?: Buffer
  readonly nth: (n: number) => Buffer
}

const opened = frame(HEADERS, END_HEADERS, 1, request)
const floods: Readonly<Record<string, Flood>> = {
  'rapid resets': { nth: (n) => Buffer.concat([frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, request), frame(RST_STREAM, 0, 2 * n + 1, cancel)]) },
  'CONTINUATION without end': { first: frame(HEADERS, 0, 1, request), nth: () => frame(CONTINUATION, 0, 1, Buffer.alloc(4096)) },
  'empty CONTINUATION': { first: frame(HEADERS, 0, 1, request), nth: () => frame(CONTINUATION, 0, 1) },
  PING: { nth: () => frame(PING, 0, 0, Buffer.alloc(8)) },
  SETTINGS: { nth: () => frame(SETTINGS, 0, 0) },
  'empty DATA': { first: opened, nth: () => frame(DATA, 0, 1) },
}

const FRAMES_A_WRITE = 500
/** One that may go on for this long was not stopped. */
const FLOOD_MS_MAX = 240_000
const FLOODERS = 4
const RESIDENT_GROWTH_MAX = 160 * 1024 * 1024
/** Who does not read the GOAWAY is cut off after a megabyte more, whatever of it the kernel holds on both sides. */
const SENT_BYTES_MAX = 4 * 1024 * 1024 + kernelBytes()

function kernelBytes(): number {
  return ['tcp_rmem', 'tcp_wmem'].reduce((sum, name) => sum + Number(readFileSync(`/proc/sys/net/ipv4/${name}`, 'utf8').trim().split(/\s+/)[2]), 0)
}

interface Flooded {
  /** Error codes of the GOAWAY frames that came; a reset may have overtaken them. */
  readonly codes: readonly number[]
  readonly sentBytes: number
}

/** Floods one connection until the proxy ends it. `reads`: whether it takes what it is answered. */
function flood(port: number, { first = Buffer.alloc(0), nth }: Flood, reads: boolean): Promise<Flooded> {
  return new Promise((resolve, reject) => {
    let n = 0
    let sentBytes = 0
    const received: Buffer[] = []
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new Error(`${n} frames were taken, and no end of the connection`))
    }, FLOOD_MS_MAX)
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0), first]))
      more()
    })
    const more = (): void => {
      if (socket.destroyed) return
      const bytes = Buffer.concat(Array.from({ length: FRAMES_A_WRITE }, () => nth(n++)))
      socket.write(bytes, (error) => {
        if (error !== null && error !== undefined) return
        sentBytes += bytes.length
        setImmediate(more)
      })
    }
    if (reads) socket.on('data', (bytes: Buffer) => void received.push(bytes))
    socket.on('end', () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      clearTimeout(timer)
      resolve({ codes: goawaysIn(Buffer.concat(received)), sentBytes })
    })
  })
}

function goawaysIn(bytes: Buffer): number[] {
  const codes: number[] = []
  for (let at = 0; at + FRAME_HEADER_BYTES <= bytes.length; at += FRAME_HEADER_BYTES + bytes.readUIntBE(at, 3)) {
    if (bytes[at + 3] === GOAWAY && at + FRAME_HEADER_BYTES + 8 <= bytes.length) codes.push(bytes.readUInt32BE(at + FRAME_HEADER_BYTES + 4))
  }
  return codes
}

/** A proxy as a process of its own, which sends all that comes to a port to one server. */
async function start(t: TestContext, main: string, direction: 1 | 2): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  const upstream = await httpServer(t, (_request, response) => response.end('served'))
  const plane = new TestControlPlane()
  await plane.start()
  t.after(() => plane.stop())
  const port = await deadPort()
  putWay(plane, 'way', direction, port, upstream.port)
  const folder = mkdtempSync(path.join(tmpdir(), 'weft-floods-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(path.join(folder, 'root.pem'), plane.authority.rootPem)
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', path.join(root, main)], {
    env: { WEFT_XDS: plane.target, WEFT_XDS_ROOT: path.join(folder, 'root.pem'), WEFT_JOIN_TOKEN: plane.token, WEFT_NAME: 'a', WEFT_ADDRESS: '127.0.0.1', WEFT_ADMIN: '127.0.0.1:0' },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  t.after(() => child.kill('SIGKILL'))
  let said = ''
  child.stderr?.on('data', (part: Buffer) => (said += part.toString()))
  await until(() => {
    if (child.exitCode !== null) throw new Error(`the proxy ended with ${child.exitCode}: ${said}`)
    return said.includes('"proxy.ready"')
  })
  return { child, port }
}

function residentBytes(child: ChildProcess): number {
  const [, kilobytes = '0'] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8')) ?? []
  return Number(kilobytes) * 1024
}

for (const [kind, main, direction] of [['a sidecar’s inbound listener', 'proxy/main.ts', 1], ['a gateway', 'gateway/main.ts', 2]] as const) {
  test(`${kind} ends connections that flood it, and serves all others meanwhile`, async (t) => {
    const { child, port } = await start(t, main, direction)
    const other = await connect(t, port)
    const served = async (): Promise<void> => {
      const answer = await call(other, { ':method': 'GET', ':path': '/', ':authority': 'a' })
      assert.deepEqual([answer.headers[':status'], answer.body.toString()], [200, 'served'])
    }
    for (let n = 0; n < 50; n++) await served()
    const before = residentBytes(child)
    let most = before
    for (const [name, one] of Object.entries(floods)) {
      await t.test(name, async () => {
        const run = { over: false }
        const all = Promise.all(Array.from({ length: FLOODERS }, (_, index) => flood(port, one, index > 0))).finally(() => (run.over = true))
        const meanwhile = async (): Promise<void> => {
          do {
            await served()
            most = Math.max(most, residentBytes(child))
          } while (!run.over)
        }
        const [ended] = await Promise.all([all, meanwhile()])
        for (const { sentBytes } of ended) assert.ok(sentBytes <= SENT_BYTES_MAX, `${sentBytes} bytes of ${name} were taken`)
        for (const code of ended.flatMap((flooded) => flooded.codes)) assert.equal(code, ENHANCE_YOUR_CALM)
        await served()
        assert.equal((await ask(port, '/')).body, 'served')
        t.diagnostic(`${name}: ended after ${ended.map((flooded) => flooded.sentBytes).join(', ')} bytes`)
      })
    }
    assert.equal(child.exitCode, null)
    const growth = most - before
    t.diagnostic(`resident memory grew by ${Math.round(growth / 1024 / 1024)} MB at most`)
    assert.ok(growth < RESIDENT_GROWTH_MAX, `resident memory grew by ${growth} bytes`)
  })
}
