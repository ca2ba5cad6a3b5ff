import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { test, type TestContext } from 'node:test'
import { status, type StatusObject } from '@grpc/grpc-js'
import { type DeltaAsk, type DeltaStream, nodeNamed, RawClient } from '#api/serve/raw-client.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT } from '#core/wire/type-url.ts'

interface Memory {
  readonly rss: number
  readonly heapUsed: number
}

/** A replica in a process of its own. */
async function replica(t: TestContext): Promise<{ port: number; memory: (when: 'now' | 'alone') => Promise<Memory> }> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'test/fault/churned-replica.ts'], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async (): Promise<string> => {
    const { value, done } = await lines.next()
    if (done === true) throw new Error('the replica ended')
    return value
  }
  const port = Number(await next())
  const memory = async (when: 'now' | 'alone'): Promise<Memory> => {
    child.stdin.write(`${when}\n`)
    return JSON.parse(await next()) as Memory
  }
  return { port, memory }
}

test('after a thousand connects and disconnects a replica of its own has the memory that it had', async (t) => {
  const { port, memory } = await replica(t)
  const one = async (at: number): Promise<void> => {
    const made = new RawClient(`127.0.0.1:${port}`)
    const stream = made.delta()
    stream.ask({ node: nodeNamed(`sidecar~127.0.0.1~n${at}.prod~prod.svc.cluster.local`), type: CLUSTER })
    assert.equal((await stream.take()).resources.length, 50)
    stream.ask({ type: CLUSTER_LOAD_ASSIGNMENT, subscribe: Array.from({ length: 50 }, (_, index) => `c${index}`) })
    await stream.take()
    // Half of them say goodbye, the others are gone.
    if (at % 2 === 0) stream.end()
    made.close()
  }
  const after = async (count: number): Promise<Memory> => {
    for (let at = 0; at < count; at += 10) await Promise.all(Array.from({ length: 10 }, (_, index) => one(at + index)))
    return memory('alone')
  }
  // The first thousand fill V8's young generation, pools and caches, which stay.
  const before = await after(1000)
  const now = await after(1000)
  t.diagnostic(`RSS ${before.rss >> 20} MB → ${now.rss >> 20} MB, heap ${before.heapUsed >> 10} KB → ${now.heapUsed >> 10} KB`)
  assert.ok(now.heapUsed - before.heapUsed < 1 << 20, `${(now.heapUsed - before.heapUsed) >> 10} KB of heap more`)
  assert.ok(now.rss - before.rss < 24 << 20, `${(now.rss - before.rss) >> 20} MB more`)
})

test('whoever names what is not there, in streams that stay and in streams that come and go, makes a replica hold some tens of megabytes and no more', async (t) => {
  const { port, memory } = await replica(t)
  const names = (from: string): string[] => Array.from({ length: 30_000 }, (_, at) => `${from}-${at}.${'n'.repeat(60)}`)
  const node = nodeNamed('sidecar~127.0.0.1~n.prod~prod.svc.cluster.local')
  const clients: RawClient[] = []
  t.after(() => {
    for (const client of clients) client.close()
  })
  const ask = (what: DeltaAsk): DeltaStream => {
    const client = new RawClient(`127.0.0.1:${port}`)
    clients.push(client)
    const stream = client.delta()
    stream.ask({ node, ...what })
    return stream
  }
  const grown = async (when: 'now' | 'alone', before: Memory): Promise<void> => {
    const now = await memory(when)
    t.diagnostic(`${when}: RSS ${before.rss >> 20} MB → ${now.rss >> 20} MB, heap ${before.heapUsed >> 20} MB → ${now.heapUsed >> 20} MB`)
    assert.ok(now.heapUsed - before.heapUsed < 64 << 20, `${(now.heapUsed - before.heapUsed) >> 20} MB of heap more`)
    assert.ok(now.rss - before.rss < 512 << 20, `${(now.rss - before.rss) >> 20} MB more`)
  }
  const before = await memory('now')
  const refusals: StatusObject[] = []
  for (let at = 0; at < 12; at += 1) {
    // Half of them want it, the others say that they have it; none goes on to answer.
    const stream = ask(at % 2 === 0 ? { type: CLUSTER_LOAD_ASSIGNMENT, subscribe: names(`wanted-${at}`) } : { type: CLUSTER, held: Object.fromEntries(names(`held-${at}`).map((name) => [name, 'v'])) })
    await stream.next().catch(async () => {
      refusals.push(await stream.status())
    })
  }
  assert.ok(refusals.length >= 8, `${refusals.length} of 12 were refused`)
  for (const { code, details, metadata } of refusals) {
    assert.deepEqual([code, details], [status.RESOURCE_EXHAUSTED, 'this identity holds as many names of what is not there as it may'])
    assert.ok(Number(metadata.get('grpc-retry-pushback-ms')[0]) > 0)
  }
  await grown('now', before)
  for (const client of clients) client.close()
  // Others let go, so these are taken in, one after another.
  for (let at = 0; at < 12; at += 1) {
    await memory('alone')
    const stream = ask({ type: CLUSTER_LOAD_ASSIGNMENT, subscribe: names(`gone-${at}`) })
    assert.ok((await stream.next()).removedResources.length > 0)
    clients.at(-1)?.close()
  }
  await grown('alone', before)
})
