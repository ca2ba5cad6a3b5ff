import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import { after, before, test } from 'node:test'
import { startPlane, type PlaneUnderTest } from '../parts/control-plane.ts'
import { type Postgres, startPostgres } from '../parts/postgres.ts'
import { until } from '../mesh/shop.ts'

const WRITERS = 8
const WRITES_EACH = 12
const ROUTES = '/apis/networking.istio.io/v1/namespaces/prod/virtualservices'
const COUNT = 'example.com/count'

interface Stored {
  readonly metadata: { readonly name: string; readonly resourceVersion: string; readonly annotations?: Readonly<Record<string, string>> }
}

interface Asked {
  readonly status: number
  readonly body: Stored & { readonly items?: readonly Stored[] }
}

let postgres: Postgres
let planes: PlaneUnderTest[] = []
let key = ''

before(async () => {
  postgres = await startPostgres()
  planes = [await startPlane({ database: postgres.url, sole: false }), await startPlane({ database: postgres.url, sole: false })]
  const [one] = planes
  assert.ok(one)
  await one.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'prod' } })
  key = await one.plane.createApiKey(await one.plane.ensureOrganization('demo'), 'writers', 'owner')
})
after(async () => {
  await Promise.all(planes.map((one) => one.close()))
  await postgres.stop()
})

const url = (plane: PlaneUnderTest, path: string): string => `http://127.0.0.1:${plane.plane.rest.port}/k8s/demo/shop${path}`

async function ask(plane: PlaneUnderTest, method: string, path: string, body?: object): Promise<Asked> {
  const response = await fetch(url(plane, path), { method, headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  return { status: response.status, body: (await response.json()) as Asked['body'] }
}

const route = (name: string, count: number) => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name, annotations: { [COUNT]: String(count) } },
  spec: { hosts: [`${name}.example.com`], http: [{ route: [{ destination: { host: `${name}.example.com` } }] }] },
})

/** A watch over HTTP that goes on at another replica, from where it is, when the one that it asks is gone. */
class Watcher {
  /** `name@resourceVersion count`, as heard. */
  readonly heard: string[] = []
  readonly held = new Map<string, string>()
  place: string
  #at: number
  #request: http.ClientRequest | undefined
  #over = false
  readonly done: Promise<void>

  constructor(at: number, place: string) {
    this.#at = at
    this.place = place
    this.done = this.#run()
  }

  stop(): void {
    this.#over = true
    this.#request?.destroy()
  }

  async #run(): Promise<void> {
    while (!this.#over) {
      const plane = planes[this.#at]
      if (plane !== undefined) await this.#watch(plane).catch(() => undefined)
      this.#at = (this.#at + 1) % planes.length
    }
  }

  async #watch(plane: PlaneUnderTest): Promise<void> {
    const request = http.get(url(plane, `${ROUTES}?watch=true&resourceVersion=${this.place}`), { headers: { authorization: `Bearer ${key}` }, agent: false })
    this.#request = request
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    assert.equal(response.statusCode, 200)
    let rest = ''
    for await (const part of response) {
      const lines = (rest + String(part)).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) this.#hear(JSON.parse(line) as { type: string; object: Stored })
    }
  }

  #hear({ type, object }: { type: string; object: Stored }): void {
    assert.notEqual(type, 'ERROR', JSON.stringify(object))
    const { name, resourceVersion, annotations } = object.metadata
    // What is told goes forward: nothing that a later event could have overtaken.
    assert.ok(BigInt(resourceVersion) >= BigInt(this.place), `${resourceVersion} after ${this.place}`)
    this.place = resourceVersion
    if (type === 'BOOKMARK') return
    this.heard.push(`${name}@${resourceVersion}`)
    if (type === 'DELETED') this.held.delete(name)
    else this.held.set(name, annotations?.[COUNT] ?? '')
  }
}

test(`${WRITERS} writers at two replicas lose no update, and watchers at either miss nothing, also when their replica goes`, async (t) => {
  const [one, two] = planes
  assert.ok(one && two)
  const created = await ask(one, 'POST', ROUTES, route('shared', 0))
  assert.equal(created.status, 201)
  const watchers = [0, 1, 0, 1].map((at) => new Watcher(at, created.body.metadata.resourceVersion))
  t.after(async () => {
    for (const watcher of watchers) watcher.stop()
    await Promise.all(watchers.map(({ done }) => done))
  })

  /** Every version that the store gave to anybody. */
  const given = new Set<string>()
  let alive = 2
  /** Reads, counts one up, and writes what it read, as often as another was first; and makes and deletes objects of its own. */
  const write = async (writer: number): Promise<void> => {
    for (let nth = 1; nth <= WRITES_EACH; nth++) {
      const plane: PlaneUnderTest = alive === 2 && (writer + nth) % 2 === 0 ? one : two
      for (;;) {
        const { body } = await ask(plane, 'GET', `${ROUTES}/shared`)
        const next = { ...route('shared', Number(body.metadata.annotations?.[COUNT]) + 1), metadata: { ...body.metadata, annotations: { [COUNT]: String(Number(body.metadata.annotations?.[COUNT]) + 1) } } }
        const put = await ask(plane, 'PUT', `${ROUTES}/shared`, next)
        if (put.status === 200) {
          given.add(`shared@${put.body.metadata.resourceVersion}`)
          break
        }
        assert.equal(put.status, 409, JSON.stringify(put.body))
      }
      const name = `own-${writer}-${nth % 3}`
      if (nth > 3) assert.equal((await ask(plane, 'DELETE', `${ROUTES}/${name}`)).status, 200)
      const own = await ask(plane, 'POST', ROUTES, route(name, nth))
      assert.equal(own.status, 201, JSON.stringify(own.body))
      given.add(`${name}@${own.body.metadata.resourceVersion}`)
    }
  }
  const half = (from: number): Promise<unknown> => Promise.all(Array.from({ length: WRITERS / 2 }, (_, at) => write(from + at)))
  await half(0)
  // The first replica goes while the second half is at it; its watchers go on at the other.
  alive = 1
  const rest = half(WRITERS / 2)
  const lost = watchers[0]
  await until('the watchers have heard of the second half', () => (lost?.heard.length ?? 0) > given.size / 2)
  planes[0] = two
  await one.close()
  await rest

  const { body } = await ask(two, 'GET', ROUTES)
  const stored = new Map((body.items ?? []).map(({ metadata }) => [metadata.name, metadata.annotations?.[COUNT] ?? '']))
  assert.equal(stored.get('shared'), String(WRITERS * WRITES_EACH), 'no update is lost')
  for (const watcher of watchers) {
    await until('a watcher holds what is stored', () => watcher.held.size === stored.size && [...stored].every(([name, count]) => watcher.held.get(name) === count))
    // Deletions have versions of their own, and are heard beside these.
    const heard = new Set(watcher.heard)
    assert.deepEqual([...given].filter((one) => !heard.has(one)), [], 'a gap')
    assert.equal(heard.size, watcher.heard.length, 'something was heard twice')
  }
  planes = [two]
})
