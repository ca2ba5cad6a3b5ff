/** A resolver somewhere in the world for the test of names: `UID ADDRESS`, port 53, UDP and TCP. `www.example.org` is 192.0.2.80; TXT of `long.example.org` goes over TCP alone; all else does not exist. */
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import packet from 'dns-packet'
import { framed, messagesIn } from '#proxy/dns/frames.ts'

const [uid = '0', address = ''] = process.argv.slice(2)
const NXDOMAIN = 3

function answer(bytes: Buffer, over: 'udp' | 'tcp'): Buffer {
  const query = packet.decode(bytes)
  const [question] = query.questions ?? []
  const { name = '', type = 'A' } = question ?? {}
  const reply = (flags: number, ...answers: packet.Answer[]): Buffer => packet.encode({ type: 'response', id: query.id ?? 0, flags: flags | packet.RECURSION_AVAILABLE, questions: query.questions ?? [], answers })
  if (name.toLowerCase() === 'www.example.org') return type === 'A' ? reply(0, { type: 'A', name, ttl: 60, data: '192.0.2.80' }) : reply(0)
  if (name.toLowerCase() === 'long.example.org') return over === 'udp' ? reply(packet.TRUNCATED_RESPONSE) : reply(0, { type: 'TXT', name, ttl: 60, data: 'x'.repeat(200) })
  return reply(NXDOMAIN)
}

const udp = createSocket('udp4')
udp.on('message', (bytes, from) => udp.send(answer(bytes, 'udp'), from.port, from.address))
await new Promise<void>((resolve) => udp.bind(53, address, resolve))
const tcp = createServer((socket) => socket.on('error', () => {}).on('data', messagesIn((bytes) => socket.write(framed(answer(bytes, 'tcp'))))))
await new Promise<void>((resolve) => tcp.listen(53, address, resolve))
process.setuid?.(Number(uid))
process.stdout.write('listening\n')
