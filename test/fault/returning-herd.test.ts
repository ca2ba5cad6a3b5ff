import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create } from '@bufbuild/protobuf'
import { status } from '@grpc/grpc-js'
import { systemDoors } from '#core/time/system.ts'
import { type Node, NodeSchema } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT } from '#core/wire/type-url.ts'
import { MemoryView } from '#api/serve/memory-view.ts'
import { RawClient } from '#api/serve/raw-client.ts'
import type { Resource } from '#api/serve/resource.ts'
import { startXds } from '#api/serve/server.ts'

const proxies = 1000
const connections = 20
const waitingMax = 300
const nodeOf = (at: number): Node => create(NodeSchema, { id: `sidecar~127.0.0.1~p${at}.prod~prod.svc.cluster.local`, userAgentName: 'weft' })

/** What a proxy came to: how often it was sent away, for how long, and what it was sent in the end. */
interface Return {
  readonly hintsMs: readonly number[]
  readonly resources: number
  readonly removed: number
}

test('a replica that starts while 1,000 proxies come back takes in so many, tells the others when to come again, and sends nobody what it has', async (t) => {
  const names = Array.from({ length: 100 }, (_, at) => `outbound|80||s${at}.prod.svc.cluster.local`)
  const made = (type: string): Resource[] => names.map((name) => ({ type, name, version: 'a1b2c3d4e5f60718', bytes: Buffer.alloc(700), origins: [] }))
  const view = new MemoryView([...made(CLUSTER), ...made(CLUSTER_LOAD_ASSIGNMENT)])
  const held = Object.fromEntries(names.map((name) => [name, 'a1b2c3d4e5f60718']))
  // Its mesh is being read from the database.
  const loaded = Promise.withResolvers<void>()
  let inside = 0
  let insideMax = 0
  const server = await startXds(
    {
      ...systemDoors,
      serve: {
        authenticate: () => Promise.resolve({ organizationId: 'o', meshId: 'm', identity: undefined, how: 'plaintext-loopback', expiresAtMs: Date.UTC(2100, 0) }),
        async viewFor() {
          inside += 1
          insideMax = Math.max(insideMax, inside)
          await loaded.promise
          inside -= 1
          return view
        },
        connected() {},
        disconnected() {},
      },
    },
    { plaintext: { address: '127.0.0.1', port: 0 }, waitingMax },
  )
  const clients = Array.from({ length: connections }, () => new RawClient(`127.0.0.1:${server.port}`))
  t.after(async () => {
    for (const client of clients) client.close()
    await server.close(0)
  })
  /** At their first try. */
  let sentAway = 0
  const enough = Promise.withResolvers<void>()
  /** One proxy: it comes back with all that it holds, and again when it was told to. */
  const comeBack = async (at: number): Promise<Return> => {
    const hintsMs: number[] = []
    for (;;) {
      const stream = clients[at % connections]?.delta()
      assert.ok(stream)
      stream.ask({ node: nodeOf(at), type: CLUSTER, subscribe: ['*'], held })
      stream.ask({ type: CLUSTER_LOAD_ASSIGNMENT, subscribe: names, held })
      try {
        const response = await stream.take()
        return { hintsMs, resources: response.resources.length, removed: response.removedResources.length }
      } catch {
        const { code, metadata } = await stream.status()
        assert.equal(code, status.RESOURCE_EXHAUSTED)
        const [hint] = metadata.get('grpc-retry-pushback-ms')
        assert.match(String(hint), /^\d+$/)
        hintsMs.push(Number(hint))
        if (hintsMs.length === 1) sentAway += 1
        if (sentAway >= proxies - waitingMax - 8) enough.resolve()
        await new Promise((resolve) => setTimeout(resolve, Number(hint)))
      }
    }
  }
  const all = Promise.all(Array.from({ length: proxies }, (_, at) => comeBack(at)))
  await Promise.race([enough.promise, all])
  assert.equal(server.ledger.statuses('m').length, 0, 'nobody is served before there is something to serve')
  loaded.resolve()
  const returned = await all
  const atOnce = returned.filter(({ hintsMs }) => hintsMs.length === 0).length
  const hints = returned.flatMap(({ hintsMs }) => hintsMs)
  t.diagnostic(`${atOnce} of ${proxies} taken in at once, ${hints.length} times sent away, for ${Math.min(...hints)} to ${Math.max(...hints)} ms; ${server.counts.of(CLUSTER).bytes + server.counts.of(CLUSTER_LOAD_ASSIGNMENT).bytes} bytes sent to all`)
  assert.equal(atOnce, waitingMax + 8)
  assert.equal(insideMax, 8, 'first views are made a few at once')
  assert.ok(Math.min(...hints) >= 1000 && new Set(hints).size > 100, 'they are told different times')
  // What has not changed is not sent again: each is told that nothing is new, and that is all.
  assert.deepEqual([returned.reduce((sum, one) => sum + one.resources, 0), returned.reduce((sum, one) => sum + one.removed, 0)], [0, 0])
  assert.deepEqual([server.counts.of(CLUSTER).resources, server.counts.of(CLUSTER_LOAD_ASSIGNMENT).resources], [0, 0])
  assert.ok(server.counts.of(CLUSTER).bytes + server.counts.of(CLUSTER_LOAD_ASSIGNMENT).bytes < 300 * proxies)
  assert.equal(server.ledger.statuses('m').length, proxies)
})
