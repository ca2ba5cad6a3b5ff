import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import tls from 'node:tls'
import { after, before, describe, test, type TestContext } from 'node:test'
import { until } from '../mesh/shop.ts'
import { type PlaneUnderTest, startPlane } from '../parts/control-plane.ts'
import { freePort } from '../parts/free-port.ts'
import { type ClientCommand, goClient, goServer, jsClient, pythonClient, pythonServer } from '../parts/grpc-clients.ts'

const host = 'orders.prod.svc.cluster.local'
const security = (kind: string, name: string, spec: object) => ({ apiVersion: 'security.istio.io/v1', kind, metadata: { name, namespace: 'prod' }, spec })

let world: PlaneUnderTest
let folder: string
const children: ChildProcess[] = []

before(async () => {
  world = await startPlane()
  folder = mkdtempSync(path.join(tmpdir(), 'weft-grpc-server-'))
  writeFileSync(path.join(folder, 'control-plane.pem'), world.plane.xds.rootCertificate)
  await world.apply(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'prod' } },
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'orders', namespace: 'prod' }, spec: { selector: { app: 'orders' }, ports: [{ name: 'grpc', port: 80, targetPort: 8080 }] } },
    security('PeerAuthentication', 'default', { mtls: { mode: 'STRICT' } }),
    security('AuthorizationPolicy', 'callers', { selector: { matchLabels: { app: 'orders' } }, action: 'ALLOW', rules: [{ from: [{ source: { principals: ['cluster.local/ns/prod/sa/caller'] } }] }] }),
    security('AuthorizationPolicy', 'no-admin', { selector: { matchLabels: { app: 'orders' } }, action: 'DENY', rules: [{ to: [{ operation: { paths: ['/test.Echo/Admin'] } }] }] }),
  )
})
after(async () => {
  for (const child of children) child.kill('SIGKILL')
  await world.close()
  rmSync(folder, { recursive: true, force: true })
})

function start(command: ClientCommand, env: NodeJS.ProcessEnv): { readonly child: ChildProcess; readonly said: () => string } {
  const [program, ...parameters] = command
  const child = spawn(program, parameters, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  children.push(child)
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (text: Buffer) => (said = (said + text.toString()).slice(-8000)))
  return { child, said: () => said }
}

/** `weft bootstrap grpc --certificates DIR --renew` for an account; answers the bootstrap's file. */
async function bootstrapped(account: string, more: NodeJS.ProcessEnv = {}): Promise<string> {
  const home = mkdtempSync(path.join(folder, `${account}-`))
  mkdirSync(path.join(home, 'certificates'))
  const { said } = start([process.execPath, '--disable-warning=ExperimentalWarning', 'cli/main.ts', 'bootstrap', 'grpc', '--certificates', path.join(home, 'certificates'), '--renew'], {
    WEFT_XDS: `localhost:${world.plane.xds.port}`,
    WEFT_XDS_ROOT: path.join(folder, 'control-plane.pem'),
    WEFT_JOIN_TOKEN: await world.plane.createJoinToken(world.mesh, 'prod', account, 3_600_000),
    WEFT_NAMESPACE: 'prod',
    WEFT_SERVICE_ACCOUNT: account,
    WEFT_NAME: account,
    WEFT_LOG_LEVEL: 'error',
    ...more,
  })
  let json: string | undefined
  await until(`${account} has its bootstrap`, () => {
    const text = said()
    const from = text.indexOf('{\n  "xds_servers"')
    if (from === -1 || !text.endsWith('}\n')) return false
    json = text.slice(from)
    return true
  })
  const file = path.join(home, 'bootstrap.json')
  writeFileSync(file, json ?? '')
  return file
}

interface Bootstrap {
  readonly xds_servers: readonly { readonly server_uri: string; readonly channel_creds: readonly { readonly config: { readonly ca_certificate_file: string } }[] }[]
  readonly certificate_providers: { readonly default: { readonly config: { readonly certificate_file: string; readonly private_key_file: string } } }
}

/** For a client that cannot speak TLS to a control plane: a way there that is plaintext on loopback and goes on in mutual TLS with the client's own certificate. Answers the bootstrap that takes it. */
async function relayed(t: TestContext, bootstrap: string): Promise<string> {
  const json = JSON.parse(readFileSync(bootstrap, 'utf8')) as Bootstrap
  const [server] = json.xds_servers
  const { certificate_file, private_key_file } = json.certificate_providers.default.config
  const ca = server?.channel_creds[0]?.config.ca_certificate_file ?? ''
  const [host = '', port = ''] = server?.server_uri.split(':') ?? []
  const open = new Set<net.Socket>()
  const relay = net.createServer((socket) => {
    const onward = tls.connect({ host, port: Number(port), servername: host, ALPNProtocols: ['h2'], ca: readFileSync(ca), cert: readFileSync(certificate_file), key: readFileSync(private_key_file) })
    for (const [one, other] of [[socket, onward], [onward, socket]] as const) {
      open.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
      one.pipe(other)
    }
  })
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    relay.close()
    for (const socket of open) socket.destroy()
  })
  const at = relay.address()
  if (at === null || typeof at === 'string') throw new Error('a port')
  const file = `${bootstrap}.relayed`
  writeFileSync(file, JSON.stringify({ ...json, xds_servers: [{ ...server, server_uri: `127.0.0.1:${at.port}`, channel_creds: [{ type: 'insecure' }] }] }))
  return file
}

interface Caller {
  call(): Promise<string>
  readonly said: () => string
}

function caller(command: ClientCommand, bootstrap: string, method: string): Caller {
  const { child, said } = start([...command, `${host}:80`, 'tls', method], { GRPC_XDS_BOOTSTRAP: bootstrap })
  if (!child.stdout || !child.stdin) throw new Error('pipes')
  const { stdin } = child
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    said,
    async call() {
      stdin.write('1\n')
      const { value, done } = await lines.next()
      if (done === true) throw new Error(`the client ended: ${said()}`)
      return Object.keys(JSON.parse(value) as object)[0] ?? ''
    },
  }
}

for (const [name, find] of [
  ['grpc-go', goServer],
  ['grpcio', pythonServer],
] as const) {
  describe(`a server of ${name}`, () => {
    const needed = async (t: TestContext, wanted: () => Promise<ClientCommand | undefined>): Promise<ClientCommand> => {
      const found = await wanted()
      if (found === undefined) t.skip('what it needs cannot be had here')
      return found ?? ['false']
    }

    test('takes mutual TLS by its certificate provider, and only whom the policies allow, at paths that they do not deny', async (t) => {
      const command = await needed(t, find)
      const port = await freePort()
      const at = { address: '127.0.0.1', port }
      const server = start([...command, `127.0.0.1:${port}`], {
        GRPC_XDS_BOOTSTRAP: await bootstrapped('orders', { WEFT_LABELS: 'app=orders', WEFT_PORTS: JSON.stringify([{ port: 8080, listen: at, app: at }]), WEFT_ADDRESS: '127.0.0.1' }),
      })
      t.after(() => server.child.kill('SIGKILL'))
      await until('it serves', () => /serving/i.test(server.said()) && !/NOT_SERVING/.test(server.said().split('\n').filter((line) => /serving/i.test(line)).at(-1) ?? ''))
      await until('it is in the mesh', () => world.logs.some((line) => line.includes('registry.joined') && line.includes('prod/orders')))
      const [friends, strangers] = [await bootstrapped('caller'), await bootstrapped('stranger')]
      for (const [client, clients] of [['grpc-go', goClient], ['grpcio', pythonClient], ['@grpc/grpc-js-xds', jsClient]] as const) {
        const program = await needed(t, clients)
        const reached = (bootstrap: string) => (clients === jsClient ? relayed(t, bootstrap) : bootstrap)
        const [friend, stranger] = [await reached(friends), await reached(strangers)]
        const allowed = caller(program, friend, 'Who')
        await until(`${client} is answered`, async () => (await allowed.call()) === 'Who').catch((error: unknown) => {
          throw new Error(`${String(error)}\n${allowed.said()}\n${server.said()}\n${world.logs.filter((line) => line.includes('nack')).join('\n')}`)
        })
        assert.match(await caller(program, friend, 'Admin').call(), /PermissionDenied|PERMISSION_DENIED/, `${client} is denied the path`)
        assert.match(await caller(program, stranger, 'Who').call(), /PermissionDenied|PERMISSION_DENIED/, `${client} of another account is denied`)
      }
      // Plaintext is not heard.
      const plain = net.connect(port, '127.0.0.1')
      await new Promise<void>((resolve) => {
        plain.on('error', () => resolve())
        plain.on('close', () => resolve())
        plain.resume()
        plain.end('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
      })
      assert.deepEqual(world.logs.filter((line) => line.includes('xds.nack')), [])
      // A policy that changes is in force on the calls that follow.
      const again = caller(await needed(t, goClient), friends, 'Who')
      assert.equal(await again.call(), 'Who')
      await world.apply(security('AuthorizationPolicy', 'callers', { selector: { matchLabels: { app: 'orders' } }, action: 'ALLOW', rules: [{ from: [{ source: { principals: ['cluster.local/ns/prod/sa/nobody'] } }] }] }))
      await until('the caller is denied', async () => /PermissionDenied/.test(await again.call()))
      await world.apply(security('AuthorizationPolicy', 'callers', { selector: { matchLabels: { app: 'orders' } }, action: 'ALLOW', rules: [{ from: [{ source: { principals: ['cluster.local/ns/prod/sa/caller'] } }] }] }))
      await until('and allowed again', async () => (await again.call()) === 'Who')
    })
  })
}
