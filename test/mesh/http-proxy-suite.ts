import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import net, { type AddressInfo } from 'node:net'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { capabilitiesOf, withoutCapabilities } from '../parts/without-capabilities.ts'
import { split, subsetsAlone } from './shop-configuration.ts'
import { runCommand, Shop, until } from './shop.ts'

const configuration = (port: number, weights: readonly [number, number]): string => `${subsetsAlone}---
${split(...weights)}---
apiVersion: v1
kind: Service
metadata: { name: orders-raw, namespace: prod }
spec: { selector: { app: order-service }, ports: [ { name: tcp-raw, port: 9000, targetPort: 8080 } ] }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: orders-raw, namespace: prod }
spec: { host: orders-raw, subsets: [ { name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } } ] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: orders-raw, namespace: prod }
spec:
  hosts: [orders-raw]
  tcp:
  - route:
    - { destination: { host: orders-raw, subset: v1 }, weight: ${weights[0]} }
    - { destination: { host: orders-raw, subset: v2 }, weight: ${weights[1]} }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: outside, namespace: prod }
spec: { hosts: [ secure.example.com ], location: MESH_EXTERNAL, resolution: STATIC, ports: [ { number: 443, name: tls, protocol: TLS, targetPort: ${port} } ], endpoints: [ { address: 127.0.0.1 } ] }
`

/** Only v1, then only v2: whatever answers shows that the routes of the mesh were asked. */
const ONLY_FIRST = [100, 0] as const
const ONLY_SECOND = [0, 100] as const

/** An application that knows nothing of the mesh but HTTP_PROXY and HTTPS_PROXY: curl's and Node's own clients, on one engine. */
export function httpProxySuite(engine: 'weft' | 'envoy'): void {
  const dropping = withoutCapabilities()
  const unable = dropping === undefined && 'no capability can be taken away here, for want of setpriv or of Linux'
  const shop = new Shop({ engine, database: 'pglite', before: dropping ?? [] })
  let outside: Server | undefined
  let certificate = ''
  let outsidePort = 0

  before(async () => {
    await shop.start()
    certificate = path.join(shop.dir, 'outside.pem')
    const key = path.join(shop.dir, 'outside.key')
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=secure.example.com', '-addext', 'subjectAltName=DNS:secure.example.com', '-keyout', key, '-out', certificate], { stdio: 'ignore' })
    const server = createServer({ key: readFileSync(key), cert: readFileSync(certificate) }, (_request, response) => response.end('outside'))
    outside = server
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    outsidePort = (server.address() as AddressInfo).port
    await shop.apply(configuration(outsidePort, ONLY_FIRST))
  })
  after(async () => {
    outside?.closeAllConnections()
    outside?.close()
    assert.equal(await shop.stop(), 0, shop.output)
    shop.remove()
  })

  const proxy = (): string => `http://${shop.workload('client').outbound}`
  /** Status of what answered (000: nothing did), status of the proxy's answer to CONNECT, and the body. */
  const curl = async (...parameters: string[]): Promise<{ status: string; connected: string; body: string; served: string }> => {
    const { stdout } = await runCommand('curl', ['-sS', '--max-time', '30', '--noproxy', '', '-w', '\n%{http_code} %{http_connect}\n', ...parameters])
    const lines = stdout.trimEnd().split('\n')
    const [status = '', connected = ''] = lines.pop()?.split(' ') ?? []
    const body = lines.join('\n')
    return { status, connected, body, served: /"version": ?"(v\d)"/.exec(body)?.[1] ?? '' }
  }
  const byProxy = (...parameters: string[]) => curl('-x', proxy(), ...parameters)
  const orders = 'http://order-service:8080/orders'
  const raw = 'http://orders-raw:9000/orders'

  test('the sidecars have no capability: the port for HTTP_PROXY and those of explicit routes need none', { skip: unable }, () => {
    const running = shop.ready.workloads.map(({ name, engine: as, pid }) => [name, as, capabilitiesOf(pid)] as const)
    assert.ok(running.length > 0)
    assert.deepEqual(running, running.map(([name]) => [name, engine, []]))
  })

  test('a request in absolute form goes by the routes of the mesh', async () => {
    const got = await byProxy(orders)
    assert.deepEqual([got.status, got.served], ['200', 'v1'], JSON.stringify(got))
  })

  test('so do requests inside a tunnel, each of them, and the service knows the caller', async () => {
    await shop.behave('order-v1', {})
    const got = await byProxy('-p', orders, '-o', '-', orders)
    // Of two requests of one run the second is in the tunnel of the first.
    assert.match(got.body, /^200 200$/m, JSON.stringify(got))
    assert.deepEqual([got.status, got.connected], ['200', '000'], JSON.stringify(got))
    assert.equal(got.body.match(/"version": ?"v1"/g)?.length, 2, JSON.stringify(got))
    const { last } = await shop.seen('order-v1')
    assert.match(String(last.at(-1)?.headers['x-forwarded-client-cert']), /URI=spiffe:\/\/[^/]+\/ns\/prod\/sa\/client/)
  })

  test('a tunnel to a port that is no HTTP goes by tcp routes, over mutual TLS', async () => {
    await shop.behave('order-v1', {})
    const got = await byProxy('-p', raw)
    assert.deepEqual([got.status, got.connected, got.served], ['200', '200', 'v1'], JSON.stringify(got))
    const { last } = await shop.seen('order-v1')
    assert.match(String(last.at(-1)?.headers['x-forwarded-client-cert']), /URI=spiffe:\/\/[^/]+\/ns\/prod\/sa\/client/)
    const plain = await byProxy(raw)
    assert.equal(plain.status, '502', 'what is not in a tunnel has no route there')
  })

  test('HTTPS to a host that a ServiceEntry names passes, end to end', async () => {
    const got = await byProxy('--cacert', certificate, 'https://secure.example.com/')
    assert.deepEqual([got.status, got.connected, got.body.trim()], ['200', '200', 'outside'], JSON.stringify(got))
  })

  test('a host that nobody names is refused, in a tunnel and without', async () => {
    assert.equal((await byProxy('http://nowhere.example.com/')).status, '502')
    assert.equal((await byProxy('-p', 'http://nowhere.example.com/')).connected, '502')
    assert.equal((await byProxy('https://nowhere.example.com/')).connected, '502')
    assert.equal((await byProxy('-p', 'http://secure.example.com:444/')).connected, '502', 'a port that it has not')
  })

  test('what is not HTTP in a tunnel to a port with HTTP is answered 400', async () => {
    const socket = net.connect(Number(proxy().split(':').at(-1)), new URL(proxy()).hostname)
    let heard = ''
    socket.setEncoding('latin1').on('data', (part) => (heard += part)).on('error', () => {})
    socket.write('CONNECT order-service:8080 HTTP/1.1\r\nhost: order-service:8080\r\n\r\n')
    await until('the tunnel stands', () => heard.includes('\r\n\r\n'))
    assert.match(heard, /^HTTP\/1\.1 200/)
    socket.write('\x16\x03\x01 no HTTP\r\n\r\n')
    await until('it is refused', () => /HTTP\/1\.1 400/.test(heard))
    socket.destroy()
  })

  test("Node's own fetch needs no more than the variables", async () => {
    const program = `for (const url of ['${orders}', 'https://secure.example.com/']) console.log((await (await fetch(url)).text()).replace(/\\s+/g, ' '))`
    const ran = await runCommand(process.execPath, ['--input-type=module', '--use-env-proxy', '-e', program], { env: { HTTP_PROXY: proxy(), HTTPS_PROXY: proxy(), NO_PROXY: '', NODE_EXTRA_CA_CERTS: certificate } })
    assert.equal(ran.code, 0, ran.stderr)
    assert.match(ran.stdout, /"version": ?"v1"[^\n]*\noutside\n/)
  })

  test('a change of routes holds for new tunnels, and for new requests in those that stand', async () => {
    const socket = net.connect(Number(proxy().split(':').at(-1)), new URL(proxy()).hostname)
    let heard = ''
    socket.setEncoding('latin1').on('data', (part) => (heard += part)).on('error', () => {})
    socket.write('CONNECT order-service:8080 HTTP/1.1\r\nhost: order-service:8080\r\n\r\n')
    await until('the tunnel stands', () => heard.includes('\r\n\r\n'))
    const ask = (): boolean => socket.write('GET /orders HTTP/1.1\r\nhost: order-service:8080\r\n\r\n')
    ask()
    await until('v1 answers in it', () => /"version": ?"v1"/.test(heard))
    await shop.apply(configuration(outsidePort, ONLY_SECOND))
    ask()
    await until('v2 answers in it', () => /"version": ?"v2"/.test(heard))
    socket.destroy()
    assert.equal((await byProxy('-p', raw)).served, 'v2')
  })
}
