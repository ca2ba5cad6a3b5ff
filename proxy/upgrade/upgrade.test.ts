import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { until } from '../testing/peers.ts'
import { askOnce, isAlive, keepAsking, upgradeWorld } from '../testing/upgrade.ts'

test('a proxy is replaced in place, twice, while it serves: no request is lost, its identity goes on, and the first process stays', async (t) => {
  const { plane, port, slow, child, lines, successors } = await upgradeWorld(t)
  const inFlight = askOnce(port, '/slow', false)
  await until(() => slow.length === 1)
  const asking = keepAsking(t, port)
  child.kill('SIGUSR2')
  await until(() => successors().length === 1)
  const beforeSecond = asking.count()
  await until(() => asking.count() > beforeSecond + 20)
  slow[0]?.end('late')
  assert.equal(await inFlight, '200 late')
  child.kill('SIGUSR2')
  await until(() => successors().length === 2 && !isAlive(successors()[0] ?? 0))
  const atLast = asking.count()
  await until(() => asking.count() > atLast + 20)
  const answers = await asking.stop()
  assert.deepEqual(Object.keys(answers), ['200 served'])
  assert.deepEqual(plane.credentials, ['token'], 'the successors joined as who the first one was')
  assert.equal(lines.filter(({ event }) => event === 'proxy.drained').length, 2)

  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  assert.deepEqual(await gone, [0, null])
  await until(() => !isAlive(successors()[1] ?? 0))
  assert.equal(await askOnce(port, '/', false), `connect ECONNREFUSED 127.0.0.1:${port}`)
})

test('a successor that cannot start leaves the proxy as it was', async (t) => {
  const { program, port, child, lines } = await upgradeWorld(t)
  writeFileSync(program, 'process.exit(3)\n')
  child.kill('SIGUSR2')
  await until(() => lines.some(({ event }) => event === 'upgrade.failed'))
  assert.equal(lines.find(({ event }) => event === 'upgrade.failed')?.why, 'ended with 3')
  assert.equal(await askOnce(port, '/', false), '200 served')
})

test('when the process that took over dies, the first one ends with its code, so that whoever watches it starts anew', async (t) => {
  const { child, successors } = await upgradeWorld(t)
  child.kill('SIGUSR2')
  await until(() => successors().length === 1)
  const gone = once(child, 'exit')
  process.kill(successors()[0] ?? 0, 'SIGKILL')
  assert.deepEqual(await gone, [137, null])
})
