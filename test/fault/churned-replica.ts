import { createInterface } from 'node:readline'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { systemDoors } from '#core/time/system.ts'
import { CLUSTER } from '#core/wire/type-url.ts'
import { MemoryView } from '#api/serve/memory-view.ts'
import { startXds } from '#api/serve/server.ts'
import { until } from '../mesh/shop.ts'

// A replica by itself, so that its memory is nobody else's. Prints its port; to each line of input it answers with its memory as JSON: once all its streams are gone, or to `now` at once.

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
const view = new MemoryView(Array.from({ length: 50 }, (_, at) => ({ type: CLUSTER, name: `c${at}`, version: '1', bytes: Buffer.alloc(2000), origins: [] })))
const server = await startXds(
  {
    ...systemDoors,
    serve: { authenticate: () => Promise.resolve({ organizationId: 'o', meshId: 'm', identity: undefined, how: 'plaintext-loopback', expiresAtMs: Date.UTC(2100, 0) }), viewFor: () => Promise.resolve(view), connected() {}, disconnected() {} },
  },
  { plaintext: { address: '127.0.0.1', port: 0 } },
)
process.stdout.write(`${server.port}\n`)
for await (const line of createInterface({ input: process.stdin })) {
  if (line !== 'now') await until('all streams are gone', () => [...server.ledger.streams()].length === 0 && view.listeners === 0)
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  collect()
  collect()
  const { rss, heapUsed } = process.memoryUsage()
  process.stdout.write(`${JSON.stringify({ rss, heapUsed })}\n`)
}
