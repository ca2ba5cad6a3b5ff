/**
 * A host of a case: `capture|host|middle NAMES PORTS`. Whoever starts it in a network namespace of its own asks it for sockets there, and is handed them.
 * With `capture` it first has its namespace's connections redirected to the proxy; then it is nobody, for a proxy's own connections are told from an application's by their user.
 * PORTS, JSON, are those to which connections are not captured.
 * The one that captures nothing is the next hop of the others, and their resolver, whichever they ask: NAMES, JSON, has the addresses of each name that there is.
 */
import { spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { existsSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { installCapture } from '#proxy/capture/install.ts'
import { answer, readQuery } from '#proxy/dns/message.ts'
import { type FromHost, NEXT_HOP, type ToHost } from './hosts.ts'

const [kind = '', names = '{}', ports = '[]'] = process.argv.slice(2)
const NOBODY = 65_534

const say = (message: FromHost, handle?: net.Server | net.Socket, sent: () => void = () => {}): void => void process.send?.(message, handle, {}, sent)

function listen(id: number, address: string, port: number): void {
  const server = net.createServer()
  server.once('error', (error) => say({ id, error: error.message }))
  // Who is handed it accepts; this end must not.
  server.listen({ host: address, port, exclusive: true }, () => say({ id }, server, () => server.close()))
}

function dial(id: number, address: string, port: number, source: string | undefined): void {
  const socket = net.connect({ host: address, port, ...(source === undefined ? {} : { localAddress: source }) })
  // What comes is for whoever is handed it.
  socket.pause()
  socket.once('error', (error) => say({ id, error: error.message }))
  socket.once('connect', () => say({ id }, socket))
}

/** Look-ups go to the next hop, whoever is asked; before the rules of the capture, which know nothing of it. */
const LOOK_UPS = `table ip weft_names { chain out { type nat hook output priority -110; policy accept; udp dport 53 dnat to ${NEXT_HOP}:53; }; chain from { type nat hook postrouting priority 100; policy accept; ip saddr 127.0.0.0/8 oifname "link0" masquerade; }; }`

function ask(): void {
  const { status, stderr } = spawnSync('nft', ['-f', '-'], { input: LOOK_UPS, encoding: 'utf8' })
  if (status !== 0) throw new Error(`nft: ${stderr.trim()}`)
}

async function resolve(names: Readonly<Record<string, readonly string[]>>): Promise<void> {
  const socket = createSocket('udp4')
  socket.on('message', (bytes, from) => {
    const query = readQuery(bytes)
    if (query !== undefined) socket.send(answer(query, { host: query.name, addresses: names[query.name] ?? [] }, query.udpBytes), from.port, from.address)
  })
  await new Promise<void>((resolve) => socket.bind(53, '0.0.0.0', resolve))
}

process.on('disconnect', () => process.exit(0))
process.on('message', (asked: ToHost) => (asked.verb === 'listen' ? listen(asked.id, asked.address, asked.port) : dial(asked.id, asked.address, asked.port, asked.source)))

try {
  writeFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', '0')
  // An address is good at once: nobody else can have it.
  const hasSix = existsSync('/proc/sys/net/ipv6/conf/default/accept_dad')
  for (const setting of hasSix ? ['all/disable_ipv6', 'default/disable_ipv6', 'all/accept_dad', 'default/accept_dad'] : []) writeFileSync(`/proc/sys/net/ipv6/conf/${setting}`, '0')
  if (kind === 'capture') installCapture({ outboundPort: 15_001, inboundPort: 15_006, excludedUids: [0], excludedOutboundPorts: [], excludedInboundPorts: JSON.parse(ports) as number[], excludedRanges: [], includedRanges: [] })
  if (kind === 'middle') {
    writeFileSync('/proc/sys/net/ipv4/ip_forward', '1')
    if (hasSix) writeFileSync('/proc/sys/net/ipv6/conf/all/forwarding', '1')
    await resolve(JSON.parse(names) as Record<string, string[]>)
  } else {
    // The machine's resolver may be one on loopback.
    writeFileSync('/proc/sys/net/ipv4/conf/all/route_localnet', '1')
    ask()
  }
  process.setgid?.(NOBODY)
  process.setuid?.(NOBODY)
  say({ id: 0 })
} catch (error) {
  say({ id: 0, error: error instanceof Error ? error.message : String(error) })
}
