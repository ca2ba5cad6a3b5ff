import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { makeRoot, readAuthority } from '#api/ca/root.ts'
import { serverCertificate } from '#api/ca/sign.ts'
import { deadPort } from '#proxy/testing/peers.ts'
import { installPebble } from '#infra/parts/pebble.ts'
import { until } from '../mesh/shop.ts'

/** Pebble with a name server for which every name is at one address. */
export interface PebbleUnderTest {
  readonly directory: string
  /** What its own HTTPS certificate leads to. */
  readonly roots: string
  /** What certificates that it issues lead to. */
  issuerRoot(): Promise<string>
  start(): Promise<void>
  stop(): Promise<void>
  readonly said: () => string
}

/** A name that it refuses. */
export const BLOCKED = 'blocked.example'

export async function startPebble(t: TestContext, options: { readonly address: string; readonly httpPort: number; readonly validitySeconds?: number }): Promise<PebbleUnderTest> {
  const binary = await installPebble()
  const folder = mkdtempSync(join(tmpdir(), 'weft-pebble-'))
  const authority = readAuthority(makeRoot({ organization: 'pebble', nowMs: Date.now() }))
  const { certificate, privateKey } = serverCertificate(authority, ['127.0.0.1', 'localhost'], Date.now())
  writeFileSync(join(folder, 'cert.pem'), certificate)
  writeFileSync(join(folder, 'key.pem'), privateKey)
  const port = await deadPort()
  let managementPort = port
  while (managementPort === port) managementPort = await deadPort()
  const dns = await nameServer(t, options.address)
  const profile = { description: 'for tests', validityPeriod: options.validitySeconds ?? 7_776_000 }
  const config = {
    listenAddress: `127.0.0.1:${port}`, managementListenAddress: `127.0.0.1:${managementPort}`, certificate: join(folder, 'cert.pem'), privateKey: join(folder, 'key.pem'), httpPort: options.httpPort, tlsPort: 1,
    ocspResponderURL: '', externalAccountBindingRequired: false, domainBlocklist: [BLOCKED], retryAfter: { authz: 1, order: 1 }, profiles: { default: profile }, keyAlgorithm: 'ecdsa',
  }
  writeFileSync(join(folder, 'pebble.json'), JSON.stringify({ pebble: config }))
  let child: ChildProcess | undefined
  let said = ''
  const get = (at: number, path: string): Promise<string> =>
    new Promise((resolve, reject) => {
      request({ host: '127.0.0.1', port: at, path, ca: authority.certificate, agent: false, headers: { 'user-agent': 'test' } }, (response) => {
        let body = ''
        response.on('data', (chunk: Buffer) => (body += chunk.toString())).on('end', () => resolve(body))
      })
        .on('error', reject)
        .end()
    })
  const pebble: PebbleUnderTest = {
    directory: `https://127.0.0.1:${port}/dir`,
    roots: authority.certificate,
    issuerRoot: () => get(managementPort, '/roots/0'),
    said: () => said,
    async start() {
      // It sleeps before it looks, and refuses some nonces, unless told: the one costs time, the other is what clients must bear.
      const one = spawn(binary, ['-config', join(folder, 'pebble.json'), '-dnsserver', `127.0.0.1:${dns}`], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, PEBBLE_VA_NOSLEEP: '1', PEBBLE_WFE_NONCEREJECT: '20' } })
      child = one
      for (const stream of [one.stdout, one.stderr]) stream.on('data', (text: Buffer) => (said = (said + text.toString()).slice(-50_000)))
      let failure = ''
      await until('Pebble answers', () => get(port, '/dir').then((body) => body.includes('newOrder'), (error: unknown) => (failure = String(error)) === '')).catch((error: unknown) => {
        throw new Error(`${String(error)}: ${failure}; ${said}`)
      })
    },
    async stop() {
      const one = child
      if (one === undefined || one.exitCode !== null || one.signalCode !== null) return
      const gone = new Promise((ended) => one.once('exit', ended))
      one.kill('SIGKILL')
      await gone
    },
  }
  t.after(async () => {
    await pebble.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  await pebble.start()
  return pebble
}

/** Answers every question for an A record with one address, and every other with nothing (RFC 1035 §4), over TCP, which is how Pebble asks. */
async function nameServer(t: TestContext, address: string): Promise<number> {
  const server = net.createServer((socket) => {
    let seen: Buffer = Buffer.alloc(0)
    socket.on('error', () => socket.destroy())
    socket.on('data', (bytes: Buffer) => {
      seen = Buffer.concat([seen, bytes])
      while (seen.length >= 2 && seen.length >= 2 + seen.readUInt16BE(0)) {
        const answer = answerTo(seen.subarray(2, 2 + seen.readUInt16BE(0)), address)
        seen = seen.subarray(2 + seen.readUInt16BE(0))
        socket.write(Buffer.concat([Buffer.from([answer.length >> 8, answer.length & 0xff]), answer]))
      }
    })
  })
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  t.after(() => server.close())
  const at = server.address()
  return typeof at === 'object' && at !== null ? at.port : 0
}

function answerTo(query: Buffer, address: string): Buffer {
  let end = 12
  while (query[end] !== 0 && end < query.length) end += (query[end] ?? 0) + 1
  const question = query.subarray(12, end + 5)
  const isA = question.readUInt16BE(question.length - 4) === 1
  const head = Buffer.from(query.subarray(0, 12))
  head.writeUInt16BE(0x8180, 2)
  head.writeUInt16BE(isA ? 1 : 0, 6)
  head.writeUInt32BE(0, 8)
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, ...address.split('.').map(Number)])
  return Buffer.concat([head, question, ...(isA ? [record] : [])])
}
