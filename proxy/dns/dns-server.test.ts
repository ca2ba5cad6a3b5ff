import assert from 'node:assert/strict'
import { createSocket, type Socket } from 'node:dgram'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { type TestContext, test } from 'node:test'
import packet from 'dns-packet'
import fc from 'fast-check'
import { systemDoors } from '#core/time/system.ts'
import type { Log } from '#proxy/admin/log.ts'
import { DnsServer } from './dns-server.ts'
import { Forwarder } from './forwarder.ts'
import { framed, messagesIn } from './frames.ts'
import { readQuery, refusal } from './message.ts'
import { NameBook } from './name-book.ts'
import { readResolvConf } from './resolv-conf.ts'

const { clock } = systemDoors
const quietLog: Log = { level: 'off', debug() {}, info() {}, warn() {}, error() {} }

/** RFC 1035 §4.1.1: 0 is NOERROR, 1 FORMERR, 2 SERVFAIL. */
const codeOf = ({ flags = 0 }: packet.DecodedPacket): number => flags & 15

function question(name: string, type: packet.RecordType = 'A', id = 7, edns = 0): Buffer {
  const additionals: packet.Answer[] = edns === 0 ? [] : [{ type: 'OPT', name: '.', udpPayloadSize: edns, flags: 0, extendedRcode: 0, ednsVersion: 0, flag_do: false, options: [] }]
  return packet.encode({ type: 'query', id, flags: packet.RECURSION_DESIRED, questions: [{ type, name, class: 'IN' }], additionals })
}

/** Has `tcp` listen, and a UDP socket bound to the same port: the system's choice for one may be taken for the other. */
async function onePort(tcp: Server): Promise<{ readonly udp: Socket; readonly port: number }> {
  for (;;) {
    await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve))
    const { port } = tcp.address() as AddressInfo
    const udp = createSocket('udp4')
    const isBound = await new Promise<boolean>((resolve) => udp.once('error', () => resolve(false)).bind(port, '127.0.0.1', () => resolve(true)))
    if (isBound) return { udp, port }
    udp.close()
    await new Promise((resolve) => tcp.close(resolve))
  }
}

/** A resolver of the host's: answers TXT with how often it was asked, over UDP truncated where the name says so, silent for `silent.`. */
async function upstream(t: TestContext): Promise<{ readonly port: number; readonly ids: number[]; readonly ports: number[] }> {
  const ids: number[] = []
  const ports: number[] = []
  const answered = (bytes: Buffer, over: string): Buffer => {
    const query = packet.decode(bytes)
    const name = query.questions?.[0]?.name ?? ''
    const isShort = over === 'udp' && name.startsWith('long')
    return packet.encode({ type: 'response', id: query.id ?? 0, flags: isShort ? packet.TRUNCATED_RESPONSE : 0, questions: query.questions ?? [], answers: isShort ? [] : [{ type: 'TXT', name, ttl: 5, data: `${over} ${name}` }] })
  }
  const tcp = createServer((socket) => socket.on('data', messagesIn((bytes) => socket.write(framed(answered(bytes, 'tcp'))))).on('error', () => {}))
  const { udp, port } = await onePort(tcp)
  udp.on('message', (bytes, from) => {
    ids.push(bytes.readUInt16BE(0))
    ports.push(from.port)
    const name = packet.decode(bytes).questions?.[0]?.name ?? ''
    if (name.startsWith('silent')) return
    // Somebody who guesses answers first.
    const forged = answered(bytes, 'forged')
    forged.writeUInt16BE((bytes.readUInt16BE(0) + 1) & 0xffff, 0)
    if (name.startsWith('forged')) udp.send(forged, from.port, from.address)
    udp.send(answered(bytes, 'udp'), from.port, from.address)
  })
  t.after(() => (udp.close(), tcp.close()))
  return { port, ids, ports }
}

async function serverOf(t: TestContext, ports: readonly number[], timeoutMs = 1000): Promise<{ server: DnsServer; port: number; book: NameBook }> {
  const book = new NameBook('prod', ['prod.svc.cluster.local'])
  const server = new DnsServer(book, new Forwarder(clock, { servers: ports.map((port) => ({ address: '127.0.0.1', port })), search: [], timeoutMs, attempts: 1 }))
  t.after(() => server.close())
  return { server, book, port: await server.listen({ address: '127.0.0.1', port: 0 }, quietLog) }
}

function askUdp(port: number, bytes: Buffer): Promise<packet.DecodedPacket> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4')
    socket.on('message', (answer) => {
      socket.close()
      resolve(packet.decode(answer))
    })
    socket.send(bytes, port, '127.0.0.1')
  })
}

function askTcp(port: number, ...messages: Buffer[]): Promise<packet.DecodedPacket[]> {
  return new Promise((resolve, reject) => {
    const answers: packet.DecodedPacket[] = []
    const socket = connect(port, '127.0.0.1')
    socket.on('error', reject)
    socket.on('data', messagesIn((answer) => answers.push(packet.decode(answer))))
    socket.on('end', () => resolve(answers))
    socket.end(Buffer.concat(messages.map(framed)))
  })
}

const texts = (one: packet.DecodedPacket): string[] => (one.answers ?? []).map((answer) => `${answer.type} ${answer.name} ${'ttl' in answer ? answer.ttl : ''} ${String('data' in answer ? answer.data : '')}`)

test('names of the mesh are answered with their addresses, and with none where they have none of a family', async (t) => {
  const { port, book, server } = await serverOf(t, [])
  book.put('cart', { name: 'cart', version: '1', hosts: [{ host: 'cart.prod.svc.cluster.local', addresses: ['10.96.0.7', '10.96.0.8'], shortName: 'cart', namespace: 'prod' }] })
  book.put('db', { name: 'db', version: '1', hosts: [{ host: 'db.example.com', addresses: ['240.240.0.9', '2001:2::f0f0:9'], shortName: '', namespace: 'prod' }] })
  assert.deepEqual(texts(await askUdp(port, question('Cart.Prod'))), ['A Cart.Prod 30 10.96.0.7', 'A Cart.Prod 30 10.96.0.8'])
  const none = await askUdp(port, question('cart.prod', 'AAAA'))
  assert.deepEqual([codeOf(none), none.answers?.length, none.id], [0, 0, 7])
  assert.deepEqual(texts(await askUdp(port, question('db.example.com', 'AAAA'))), ['AAAA db.example.com 30 2001:2::f0f0:9'])
  assert.deepEqual(texts(await askUdp(port, question('db.example.com.prod.svc.cluster.local'))), ['CNAME db.example.com.prod.svc.cluster.local 30 db.example.com', 'A db.example.com 30 240.240.0.9'])
  assert.deepEqual((await askTcp(port, question('cart'), question('db.example.com', 'A', 8))).map((one) => one.id).sort(), [7, 8])
  assert.equal(server.counts.local, 6)
})

test('an answer that is too long is asked for again over TCP, unless the client takes longer ones', async (t) => {
  const { port, book } = await serverOf(t, [])
  const addresses = Array.from({ length: 100 }, (_, at) => `10.0.1.${at}`)
  book.put('many', { name: 'many', version: '1', hosts: [{ host: 'many.example.com', addresses, shortName: '', namespace: '' }] })
  const short = await askUdp(port, question('many.example.com'))
  assert.deepEqual([short.flag_tc, short.answers?.length], [true, 0])
  assert.equal((await askUdp(port, question('many.example.com', 'A', 7, 4096))).answers?.length, 100)
  assert.equal((await askTcp(port, question('many.example.com')))[0]?.answers?.length, 100)
})

test('all else goes to the host’s resolvers, under an id and from a port that nobody knows, and comes back under its own', async (t) => {
  const { port: above, ids, ports } = await upstream(t)
  const { port, book } = await serverOf(t, [above])
  book.put('db', { name: 'db', version: '1', hosts: [{ host: 'db.example.com', addresses: ['240.240.0.9'], shortName: '', namespace: '' }] })
  for (let at = 0; at < 20; at++) assert.equal((await askUdp(port, question('www.example.org', 'A', 7))).id, 7)
  assert.ok(new Set(ids).size > 15, 'ids')
  assert.ok(new Set(ports).size > 10, 'ports')
  // Only addresses are the mesh's to tell.
  assert.equal((await askUdp(port, question('db.example.com', 'MX'))).answers?.length, 1)
  // What answers another question, or under another id, is not heard.
  assert.match(texts(await askUdp(port, question('forged.example.org')))[0] ?? '', /udp forged/)
})

test('a truncated answer is passed on, and the whole is fetched over TCP', async (t) => {
  const { port: above } = await upstream(t)
  const { port } = await serverOf(t, [above])
  assert.equal((await askUdp(port, question('long.example.org'))).flag_tc, true)
  const [whole] = await askTcp(port, question('long.example.org'))
  assert.match(whole === undefined ? '' : (texts(whole)[0] ?? ''), /tcp long/)
})

test('the next resolver is asked when one is silent, and SERVFAIL says that nobody answered', async (t) => {
  const { port: above } = await upstream(t)
  const deaf = createSocket('udp4')
  const nobody = await new Promise<number>((resolve) => deaf.bind(0, '127.0.0.1', () => resolve(deaf.address().port)))
  t.after(() => deaf.close())
  const { port, server } = await serverOf(t, [nobody, above], 50)
  assert.equal((await askUdp(port, question('www.example.org'))).answers?.length, 1)
  assert.equal(codeOf(await askUdp(port, question('silent.example.org'))), 2)
  assert.equal(server.counts.failed, 1)
})

test('questions that wait are bounded', async (t) => {
  const deaf = createSocket('udp4')
  const nobody = await new Promise<number>((resolve) => deaf.bind(0, '127.0.0.1', () => resolve(deaf.address().port)))
  t.after(() => deaf.close())
  const forwarder = new Forwarder(clock, { servers: [{ address: '127.0.0.1', port: nobody }], search: [], timeoutMs: 300, attempts: 1 })
  const all = Array.from({ length: 1100 }, () => forwarder.ask(question('www.example.org'), 'udp'))
  assert.equal(forwarder.outstanding, 1024)
  await Promise.all(all)
  assert.equal(forwarder.outstanding, 0)
})

test('whatever bytes come, there is an answer or none, and the server stands', async (t) => {
  const mutated = fc.tuple(fc.constantFrom(question('a.example.com'), question('cart', 'AAAA', 9, 1232)), fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 8 }), fc.nat(60)).map(([base, edits, cut]) => {
    const bytes = Buffer.from(base)
    for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value
    return bytes.subarray(0, Math.max(0, bytes.length - (cut > 40 ? cut - 40 : 0)))
  })
  const any = fc.oneof(fc.uint8Array({ maxLength: 600 }).map((one) => Buffer.from(one)), mutated)
  fc.assert(
    fc.property(any, (bytes) => {
      const query = readQuery(bytes)
      if (query === undefined) refusal(bytes)
      else assert.ok(query.name.length <= 1024)
    }),
    { numRuns: 20_000 },
  )
  const { port } = await serverOf(t, [])
  const socket = createSocket('udp4')
  t.after(() => socket.close())
  // So few that the kernel's buffer holds them all.
  for (const bytes of fc.sample(any, 50)) socket.send(bytes, port, '127.0.0.1')
  for (const bytes of fc.sample(any, 50)) connect(port, '127.0.0.1').on('error', () => {}).end(bytes)
  assert.equal(codeOf(await askUdp(port, question('still.there'))), 2)
})

test('resolv.conf is read as resolvers read it', () => {
  const text = '# comment\nnameserver 10.0.0.10\nnameserver nonsense\nnameserver fd00::10 ; second\noptions ndots:5 timeout:2 attempts:9 rotate\nsearch prod.svc.cluster.local svc.cluster.local\n'
  assert.deepEqual(readResolvConf(text), { servers: [{ address: '10.0.0.10', port: 53 }, { address: 'fd00::10', port: 53 }], search: ['prod.svc.cluster.local', 'svc.cluster.local'], timeoutMs: 2000, attempts: 5 })
  assert.deepEqual(readResolvConf(''), { servers: [], search: [], timeoutMs: 5000, attempts: 2 })
})
