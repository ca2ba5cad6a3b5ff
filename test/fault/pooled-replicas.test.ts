import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { credentials } from '@grpc/grpc-js'
import { nodeNamed, RawClient } from '#api/serve/raw-client.ts'
import { systemDoors } from '#core/time/system.ts'
import { CLUSTER } from '#core/wire/type-url.ts'
import { openDriver } from '#db/open.ts'
import { startPlane } from '#test/parts/control-plane.ts'
import type { PlaneUnderTest } from '#test/parts/control-plane.ts'
import { startPooledPostgres } from '#test/parts/pgbouncer.ts'
import type { Pooled } from '#test/parts/pgbouncer.ts'

// Two control planes on one Postgres, behind a pgbouncer that pools by transaction: nothing is heard by LISTEN there, and nothing outlives a transaction.

let pooled: Pooled
let [one, other]: PlaneUnderTest[] = []
const MESH = '/api/v1/organizations/demo/meshes/shop'

before(async () => {
  pooled = await startPooledPostgres()
  one = await startPlane({ database: pooled.url, sole: false })
  other = await startPlane({ database: pooled.url, sole: false })
})
after(async () => {
  await one?.close()
  await other?.close()
  await pooled?.stop()
})

function planes(): [PlaneUnderTest, PlaneUnderTest] {
  assert.ok(one && other)
  return [one, other]
}

const urlOf = ({ plane }: PlaneUnderTest, path: string): string => `http://127.0.0.1:${plane.rest.port}${path}`
async function keyOf({ plane }: PlaneUnderTest): Promise<string> {
  return plane.createApiKey(await plane.ensureOrganization('demo'), 'key', 'owner')
}
const config = (name: string, value = 'a') => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' }, data: { value } })

/** Pieces of an open answer as they come. */
async function open(url: string, key: string): Promise<{ until(wanted: string): Promise<number>; ended(): Promise<void> }> {
  const response = await fetch(url, { headers: { authorization: `Bearer ${key}` } })
  assert.equal(response.status, 200, url)
  assert.ok(response.body)
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  return {
    async until(wanted) {
      const startedMs = performance.now()
      while (!text.includes(wanted)) {
        const { done, value } = await reader.read()
        if (done) throw new Error(`it ended before ${wanted}: ${text}`)
        text += value
      }
      return performance.now() - startedMs
    },
    async ended() {
      for (;;) if ((await reader.read().catch(() => ({ done: true }))).done) return
    },
  }
}

test('what one writes the other tells its watchers, by looking every second', async (context) => {
  const [here, there] = planes()
  const watch = await open(urlOf(there, '/k8s/demo/shop/api/v1/namespaces/default/configmaps?watch=1'), await keyOf(there))
  const tookMs: number[] = []
  for (const name of ['first', 'second', 'third']) {
    await here.apply(config(name))
    tookMs.push(await watch.until(`"name":"${name}"`))
  }
  context.diagnostic(`heard after ${tookMs.map((ms) => Math.round(ms)).join(', ')} ms`)
})

test('what one writes reaches the proxies of the other', async () => {
  const [here, there] = planes()
  const { client, bearer } = await there.proxy('default', 'a')
  const stream = client.delta({ bearer })
  stream.ask({ node: nodeNamed('sidecar~127.0.0.1~a.default~default.svc.cluster.local', { NAMESPACE: 'default' }), type: CLUSTER })
  stream.ack(await stream.next())
  await here.apply({ apiVersion: 'networking.istio.io/v1', kind: 'ServiceEntry', metadata: { name: 'out', namespace: 'default' }, spec: { hosts: ['pooled.example'], ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], resolution: 'STATIC', endpoints: [{ address: '192.0.2.7' }] } })
  const names: string[] = []
  while (!names.some((name) => name.includes('pooled.example'))) {
    const response = await stream.next()
    stream.ack(response)
    names.push(...response.resources.map((resource) => resource.name))
  }
})

test('of writers to both at once none loses an update, and their bounds and revisions are one row of numbers', async () => {
  const both = planes()
  const revisions = await Promise.all(Array.from({ length: 20 }, (_, at) => both[at % 2]?.apply(config(`w-${at}`))))
  assert.equal(new Set(revisions).size, 20)
  const [here] = both
  const { items } = (await (await here.rest('/resources?kind=ConfigMap&limit=100')).json()) as { items: { metadata: { name: string } }[] }
  assert.equal(items.filter((one_) => one_.metadata.name.startsWith('w-')).length, 20)
})

test('an Idempotency-Key is known to both', async () => {
  const [here, there] = planes()
  const key = await keyOf(here)
  const ask = (of: PlaneUnderTest, value: string) =>
    fetch(urlOf(of, `${MESH}/apply`), { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'idempotency-key': 'across' }, body: JSON.stringify({ objects: [config('once', value)] }) })
  const first = await ask(here, 'a')
  const again = await ask(there, 'a')
  assert.deepEqual([first.status, again.status, again.headers.get('idempotency-replayed'), await again.text()], [200, 200, 'true', await first.text()])
  assert.equal((await ask(there, 'b')).status, 422)
  // Of many at once one is answered, and the others hear it or are told to wait.
  const statuses = await Promise.all(Array.from({ length: 8 }, (_, at) => fetch(urlOf(at % 2 === 0 ? here : there, '/api/v1/organizations/demo/meshes'), { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'idempotency-key': 'at once' }, body: JSON.stringify({ name: 'at-once' }) }).then((answer) => answer.status)))
  assert.ok(statuses.includes(201) && statuses.every((status) => status === 201 || status === 409), String(statuses))
})

test('a key that is deleted at one ends its events, its watches and its waits at the other, within seconds', async (context) => {
  const [here, there] = planes()
  const owner = await keyOf(here)
  const made = (await (await fetch(urlOf(here, '/api/v1/organizations/demo/keys'), { method: 'POST', headers: { authorization: `Bearer ${owner}`, 'content-type': 'application/json' }, body: JSON.stringify({ name: 'passing', role: 'viewer' }) })).json()) as { id: string; secret: string }
  const events = await open(urlOf(there, `${MESH}/events`), made.secret)
  const watch = await open(urlOf(there, '/k8s/demo/shop/api/v1/configmaps?watch=1&resourceVersion=0'), made.secret)
  await Promise.all([events.until('connected'), watch.until('ADDED')])
  const startedMs = performance.now()
  assert.equal((await fetch(urlOf(here, `/api/v1/organizations/demo/keys/${made.id}`), { method: 'DELETE', headers: { authorization: `Bearer ${owner}` } })).status, 204)
  await Promise.all([events.ended(), watch.ended()])
  context.diagnostic(`ended after ${Math.round(performance.now() - startedMs)} ms`)
})

test('a key that expires ends what is open, too', async () => {
  const [here, there] = planes()
  const owner = await keyOf(here)
  const openedBy = async (lifetimeMs: number) => {
    const expiresAt = new Date(systemDoors.clock.wallMs() + lifetimeMs).toISOString()
    const made = (await (await fetch(urlOf(here, '/api/v1/organizations/demo/keys'), { method: 'POST', headers: { authorization: `Bearer ${owner}`, 'content-type': 'application/json' }, body: JSON.stringify({ name: `short-${lifetimeMs}`, role: 'viewer', expiresAt }) })).json()) as { secret: string }
    const events = await open(urlOf(there, `${MESH}/events`), made.secret)
    await events.until('connected')
    return events
  }
  // A slow machine may not have opened it before the key is over.
  const events = await openedBy(3000).catch(() => openedBy(20_000)).catch(() => openedBy(120_000))
  await events.ended()
})

test('a join token that is deleted at one ends the streams that it opened at the other, and no other proxy’s', async () => {
  const [here, there] = planes()
  const owner = await keyOf(here)
  const made = (await (await here.rest('/join-tokens', { namespace: 'default', serviceAccount: 'b' })).json()) as { id: string; secret: string }
  const client = new RawClient(`127.0.0.1:${there.plane.xds.port}`, credentials.createSsl(Buffer.from(there.plane.xds.rootCertificate)))
  const kept = await there.proxy('default', 'c')
  try {
    const node = (name: string) => nodeNamed(`sidecar~127.0.0.1~${name}.default~default.svc.cluster.local`, { NAMESPACE: 'default' })
    const [stream, staying] = [client.delta({ bearer: made.secret }), kept.client.delta({ bearer: kept.bearer })]
    stream.ask({ node: node('b'), type: CLUSTER })
    staying.ask({ node: node('c'), type: CLUSTER })
    stream.ack(await stream.next())
    staying.ack(await staying.next())
    assert.equal((await fetch(urlOf(here, `${MESH}/join-tokens/${made.id}`), { method: 'DELETE', headers: { authorization: `Bearer ${owner}` } })).status, 204)
    const { code, details } = await stream.status()
    assert.deepEqual([code, details], [16, 'the credential is not valid any more'])
    await here.apply({ apiVersion: 'networking.istio.io/v1', kind: 'ServiceEntry', metadata: { name: 'later', namespace: 'default' }, spec: { hosts: ['later.example'], ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], resolution: 'STATIC', endpoints: [{ address: '192.0.2.8' }] } })
    await staying.next()
  } finally {
    client.close()
  }
})

test('behind the pool, too, a transaction acts as a role that owns nothing, for one tenant, and leaves nothing to the next', async () => {
  const [here] = planes()
  const driver = await openDriver(pooled.url, systemDoors)
  try {
    const organization = here.mesh.organizationId
    const within = (text: string) => driver.transaction(`begin; set local role weft_app; set local weft.organization = '${organization}'`, (query) => query(text, [], 'array'))
    assert.deepEqual(await within('select current_user, session_user'), [['weft_app', 'weft']])
    assert.deepEqual(await within(`select pg_catalog.pg_get_userbyid(relowner) from pg_class where relname = 'mesh'`), [['weft']])
    const bare = (text: string) => driver.transaction('begin', (query) => query(text, [], 'array'))
    // On whatever connection of the pool: more transactions than it has connections.
    for (let at = 0; at < 24; at += 1) assert.deepEqual(await bare(`select current_user, coalesce(nullif(current_setting('weft.organization', true), ''), 'none'), (select count(*)::int from resource)`), [['weft', 'none', 0]])
  } finally {
    await driver.close()
  }
})
