import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import net from 'node:net'
import { test, type TestContext } from 'node:test'
import { deadPort } from '#proxy/testing/peers.ts'
import { startPlane } from '../parts/control-plane.ts'
import { proxyProcesses } from '../parts/proxy-process.ts'
import { until } from './shop.ts'

const SOCKETS = 1000
const CHANGES = 100
/** RFC 6455 §1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
const KEY = Buffer.alloc(16, 7).toString('base64')

/** An application that takes WebSockets and sends every byte of theirs back. */
async function echoServer(t: TestContext): Promise<number> {
  const server = createServer((_request, response) => void response.end())
  const sockets = new Set<net.Socket>()
  server.on('upgrade', (request, stream) => {
    const socket = stream as net.Socket
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}${GUID}`).digest('base64')
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`)
    socket.pipe(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : assert.fail()
}

interface Client {
  readonly socket: net.Socket
  received: string
  closed: boolean
}

function dial(port: number): Client {
  const socket = net.connect(port, '127.0.0.1')
  const client: Client = { socket, received: '', closed: false }
  socket.on('data', (bytes: Buffer) => (client.received += bytes.toString('latin1')))
  socket.on('error', () => socket.destroy())
  socket.on('close', () => (client.closed = true))
  socket.write(`GET /chat HTTP/1.1\r\nhost: chat.prod:8080\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${KEY}\r\n\r\n`)
  return client
}

test(`${SOCKETS} open WebSockets outlive ${CHANGES} changes that do not concern them, and carry bytes both ways after each ten`, async (t) => {
  const app = await echoServer(t)
  const world = await startPlane()
  const proxies = await proxyProcesses(world, 'prod', 'chat')
  t.after(async () => {
    await proxies.close()
    await world.close()
  })
  const service = (name: string): object => ({ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'prod' }, spec: { selector: { app: name }, ports: [{ name: 'http', port: 8080 }] } })
  await world.apply(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'prod' } },
    service('chat'),
    { apiVersion: 'networking.istio.io/v1', kind: 'DestinationRule', metadata: { name: 'chat', namespace: 'prod' }, spec: { host: 'chat', trafficPolicy: { connectionPool: { tcp: { maxConnections: 10 * SOCKETS }, http: { http2MaxRequests: 10 * SOCKETS, http1MaxPendingRequests: 10 * SOCKETS } } } } },
    { apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', metadata: { name: 'default', namespace: 'prod' }, spec: { mtls: { mode: 'STRICT' } } },
  )
  const ports = [{ port: 8080, name: 'http', listen: { address: '127.0.4.1', port: await deadPort() }, app: { address: '127.0.0.1', port: app } }]
  await proxies.start('chat', { WEFT_ADDRESS: '127.0.4.1', WEFT_LABELS: 'app=chat', WEFT_PORTS: JSON.stringify(ports) })
  const outbound = await deadPort()
  await proxies.start('client', { WEFT_ADDRESS: '127.0.4.9', WEFT_OUTBOUND: `127.0.0.1:${outbound}` })

  const clients: Client[] = []
  t.after(() => {
    for (const { socket } of clients) socket.destroy()
  })
  const isOpen = ({ received }: Client): boolean => received.startsWith('HTTP/1.1 101')
  // A hundred at a time: what is shown is how long they live, not how fast they come.
  while (clients.length < SOCKETS) {
    for (let at = 0; at < 100; at++) clients.push(dial(outbound))
    await until('a hundred more are open', () => clients.every(isOpen) || clients.some(({ closed }) => closed))
    assert.equal(clients.filter(isOpen).length, clients.length, String(clients.find((one) => !isOpen(one))?.received))
  }
  for (const client of clients) client.received = ''

  const virtualService = (timeout: number): object => ({ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'chat', namespace: 'prod' }, spec: { hosts: ['chat'], http: [{ match: [{ uri: { prefix: '/other' } }], timeout: `${timeout}s`, route: [{ destination: { host: 'chat' } }] }, { route: [{ destination: { host: 'chat' } }] }] } })
  const policy = (change: number): object => ({ apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy', metadata: { name: 'elsewhere', namespace: 'prod' }, spec: { selector: { matchLabels: { app: 'other' } }, action: 'DENY', rules: [{ to: [{ operation: { paths: [`/${change}`] } }] }] } })
  for (let change = 1; change <= CHANGES; change++) {
    // New services, new routes beside theirs on their own host, policies of other workloads.
    const revision = await world.apply(change % 3 === 0 ? service(`other-${change}`) : change % 3 === 1 ? virtualService(change) : policy(change))
    if (change % 10 !== 0) continue
    assert.equal((await world.rest(`/revisions/${revision}/wait?timeout=60s`)).status, 200)
    const word = `after ${change};`
    for (const { socket } of clients) socket.write(word)
    await until('each got its bytes back', () => clients.every(({ received, closed }) => closed || received.endsWith(word)))
    assert.equal(clients.filter(({ closed }) => closed).length, 0)
  }
})
