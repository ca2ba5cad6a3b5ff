import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemDoors } from '#core/time/system.ts'
import { ask, httpServer, startProxy } from '../testing/peers.ts'
import { forward, limitOf, routePlan } from '../testing/plan.ts'

test('a share of requests is limited, and of those that are too many a share is refused', async (t) => {
  const upstream = await httpServer(t, (_request, response) => response.end())
  const draws: number[] = []
  const bucket = { tokensMax: 1, tokensPerFill: 1, fillIntervalMs: 3_600_000 }
  const limit = limitOf(bucket, { enabledPercent: 50, enforcedPercent: 25 })
  const proxy = await startProxy(t, {
    routes: [routePlan('/', forward('up'), { localRateLimits: new Map([['limit', limit]]) })],
    clusters: [['up', [upstream.port]]],
    http: { filters: [{ kind: 'local-rate-limit', name: 'limit', limit: limitOf(bucket, { enabledPercent: 0 }) }] },
    doors: { ...systemDoors, random: { draw: () => draws.shift() ?? 0 } },
  })
  const statusAfter = async (...next: readonly number[]): Promise<number> => {
    draws.splice(0, draws.length, ...next)
    return (await ask(proxy.port, '/')).status
  }
  assert.equal(await statusAfter(0.5), 200, 'not among those that are counted')
  assert.equal(await statusAfter(0.49), 200, 'takes the only token')
  assert.equal(await statusAfter(0.49, 0.25), 200, 'one too many, and let pass')
  assert.equal(await statusAfter(0.49, 0.24), 429)
  assert.equal(await statusAfter(0.99), 200)
})
