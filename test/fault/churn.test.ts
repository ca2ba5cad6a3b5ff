import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { nodeNamed, RawClient } from '#api/serve/raw-client.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT } from '#core/wire/type-url.ts'

test('after a thousand connects and disconnects a replica of its own has the memory that it had', async (t) => {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'test/fault/churned-replica.ts'], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async (): Promise<string> => {
    const { value, done } = await lines.next()
    if (done === true) throw new Error('the replica ended')
    return value
  }
  const port = Number(await next())
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
  const after = async (count: number): Promise<{ rss: number; heapUsed: number }> => {
    for (let at = 0; at < count; at += 10) await Promise.all(Array.from({ length: 10 }, (_, index) => one(at + index)))
    child.stdin.write('\n')
    return JSON.parse(await next()) as { rss: number; heapUsed: number }
  }
  // The first thousand fill V8's young generation, pools and caches, which stay.
  const before = await after(1000)
  const now = await after(1000)
  t.diagnostic(`RSS ${before.rss >> 20} MB → ${now.rss >> 20} MB, heap ${before.heapUsed >> 10} KB → ${now.heapUsed >> 10} KB`)
  assert.ok(now.heapUsed - before.heapUsed < 1 << 20, `${(now.heapUsed - before.heapUsed) >> 10} KB of heap more`)
  assert.ok(now.rss - before.rss < 24 << 20, `${(now.rss - before.rss) >> 20} MB more`)
})
