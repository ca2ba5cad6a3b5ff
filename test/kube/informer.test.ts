import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { CustomObjectsApi, KubeConfig, ListWatch, Watch } from '@kubernetes/client-node'
import { storeFolder } from '#test/parts/store-folder.ts'
import { ask } from './asking.ts'
import type { HttpAccess } from './asking.ts'

// An informer of @kubernetes/client-node keeps a copy of the routes while its connection is cut, and while the server is killed and comes back.

interface Server {
  readonly child: ChildProcess
  readonly port: number
  readonly key: string
}

interface Route {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata: { readonly name: string; readonly namespace: string; readonly resourceVersion: string }
}

let folder: Awaited<ReturnType<typeof storeFolder>>
let server: Server
let relay: Awaited<ReturnType<typeof startRelay>>
const ROUTES = '/apis/networking.istio.io/v1/namespaces/default/virtualservices'

async function startServer(key?: string): Promise<Server> {
  const child = fork(fileURLToPath(new URL('../parts/plane-process.ts', import.meta.url)), [folder.url, 'demo/shop', key === undefined ? '1' : '0'], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  if (child.stdout === null) throw new Error('the server has no output')
  for await (const line of createInterface({ input: child.stdout })) {
    const { port, keys } = JSON.parse(line) as { port: number; keys: string[] }
    return { child, port, key: key ?? keys[0] ?? '' }
  }
  throw new Error('the server ended before it was ready')
}

async function kill9({ child }: Server): Promise<void> {
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}

/** A port that stays while the server behind it changes; its connections can be cut. */
async function startRelay(target: () => number | undefined): Promise<{ port: number; cut(): void; close(): Promise<void> }> {
  const sockets = new Set<Socket>()
  const listening = createServer((incoming) => {
    const port = target()
    if (port === undefined) return void incoming.destroy()
    const outgoing = connect(port, '127.0.0.1')
    for (const [one, other] of [[incoming, outgoing], [outgoing, incoming]] as const) {
      sockets.add(one)
      one.on('error', () => {}) // told by close
      one.on('close', () => {
        sockets.delete(one)
        other.destroy()
      })
      one.pipe(other)
    }
  })
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
  const cut = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: (listening.address() as AddressInfo).port,
    cut,
    async close() {
      cut()
      await new Promise((resolve) => listening.close(resolve))
    },
  }
}

before(async () => {
  folder = await storeFolder()
  server = await startServer()
  relay = await startRelay(() => (server.child.exitCode === null && server.child.signalCode === null ? server.port : undefined))
})
after(async () => {
  await relay.close()
  await kill9(server)
  await folder.remove()
})

const route = (name: string, seconds: number) => ({ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name }, spec: { hosts: [`${name}.example.com`], http: [{ timeout: `${seconds}s`, route: [{ destination: { host: `${name}.example.com` } }] }] } })

test('an informer ends with exactly what is stored, has missed nothing and heard nothing twice', async () => {
  const direct = (): HttpAccess => ({ url: `http://127.0.0.1:${server.port}/k8s/demo/shop`, headers: { authorization: `Bearer ${server.key}` } })
  const write = async (method: string, path: string, body?: object, type = 'application/json'): Promise<string | undefined> => {
    const { code, text } = await ask(direct(), { method, path, headers: { 'content-type': type }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
    assert.ok(code < 300, `${method} ${path}: ${code} ${text}`)
    return (JSON.parse(text) as Partial<Route>).metadata?.resourceVersion
  }
  const config = new KubeConfig()
  config.loadFromClusterAndUser({ name: 'shop', server: `http://127.0.0.1:${relay.port}/k8s/demo/shop`, skipTLSVerify: true }, { name: 'informer', token: server.key })
  const heard: string[] = []
  const watch = new Watch(config)
  const asked = watch.watch.bind(watch)
  watch.watch = (path, query, callback, done) =>
    asked(path, query, (phase: string, object: Route, whole: unknown) => {
      if (phase !== 'BOOKMARK') heard.push(`${object.metadata.name}@${object.metadata.resourceVersion}`)
      callback(phase, object, whole)
    }, done)
  const api = config.makeApiClient(CustomObjectsApi)
  const informer = new ListWatch<Route>(ROUTES, watch, async () => (await api.listNamespacedCustomObject({ group: 'networking.istio.io', version: 'v1', namespace: 'default', plural: 'virtualservices' })) as never, false)
  // As its documentation says: whoever uses an informer starts it again after an error.
  let over = false
  let cuts = 0
  informer.on('error', () => {
    cuts += 1
    setTimeout(() => over || void informer.start(), 50)
  })
  await write('POST', ROUTES, route('first', 1))
  await informer.start()
  const written: string[] = []
  const change = async (from: number, to: number): Promise<void> => {
    for (let at = from; at < to; at += 1) {
      const name = `route-${at % 5}`
      if (at % 7 === 6) await write('DELETE', `${ROUTES}/${name}`)
      else written.push(`${name}@${await write('PATCH', `${ROUTES}/${name}?fieldManager=test&force=true`, route(name, at + 1), 'application/apply-patch+yaml')}`)
    }
  }
  const stored = async (): Promise<string[]> => (JSON.parse((await ask(direct(), { method: 'GET', path: ROUTES })).text) as { items: Route[] }).items.map((one) => `${one.metadata.name}@${one.metadata.resourceVersion}`).sort()
  const held = (): string[] => informer.list().map((one) => `${one.metadata.name}@${one.metadata.resourceVersion}`).sort()
  const settled = async (): Promise<void> => {
    while (JSON.stringify(held()) !== JSON.stringify(await stored())) await new Promise((resolve) => setTimeout(resolve, 20))
  }
  await change(0, 14)
  await settled()
  relay.cut()
  await change(14, 35)
  await settled()
  // Killed while it is being written to: what it had acknowledged is there when it comes back.
  const writing = change(35, 60).catch(() => undefined)
  while (written.length < 33) await new Promise((resolve) => setImmediate(resolve))
  await kill9(server)
  await writing
  server = await startServer(server.key)
  await change(60, 80)
  await settled()
  over = true
  await informer.stop()
  assert.ok(cuts >= 1, 'the connection was cut')
  assert.deepEqual(held(), await stored())
  assert.deepEqual(heard.filter((one, at) => heard.indexOf(one) !== at), [], 'nothing was heard twice')
  assert.deepEqual(written.filter((one) => !heard.includes(one)), [], 'nothing that was acknowledged was missed')
})
