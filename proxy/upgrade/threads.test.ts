import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { isAlive, keepAsking, upgradeWorld } from '../testing/upgrade.ts'

const PATIENCE_MS = 300_000

async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`never so: ${holds.toString()}`)
    await new Promise((tick) => setTimeout(tick, 10))
  }
}

/** Sockets that listen on a port, as the kernel counts them: one that nobody accepts from would hold connections for ever. */
const listeningOn = (port: number): number => {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  return readFileSync('/proc/net/tcp', 'utf8').split('\n').filter((line) => line.trim().split(/\s+/)[1]?.endsWith(suffix) === true && line.trim().split(/\s+/)[3] === '0A').length
}

test('a proxy of several threads is replaced in place, again and again, and no connection that waits to be accepted is lost', async (t) => {
  const { port, child, lines, successors } = await upgradeWorld(t, { WEFT_CONCURRENCY: '3' })
  const asking = keepAsking(t, port, 24)
  t.after(asking.stop)
  for (let nth = 1; nth <= 4; nth++) {
    child.kill('SIGUSR2')
    await until(() => successors().length === nth)
    await until(() => (nth === 1 ? lines.some(({ event }) => event === 'proxy.drained') : !isAlive(successors()[nth - 2] ?? 0)))
  }
  if (process.platform === 'linux') await until(() => listeningOn(port) === 3)
  const answers = await asking.stop()
  assert.deepEqual(Object.keys(answers), ['200 served'], JSON.stringify(answers))
})

test('a proxy is replaced by one of more threads, of fewer, and of more again, and no connection that waits to be accepted is lost', async (t) => {
  const { program, port, child, lines, successors } = await upgradeWorld(t)
  const asking = keepAsking(t, port, 8)
  t.after(asking.stop)
  for (const [at, threads] of [3, 1, 2].entries()) {
    writeFileSync(program, `process.env.WEFT_CONCURRENCY = '${threads}'\nawait import(${JSON.stringify(path.join(import.meta.dirname, '../main.ts'))})\n`)
    child.kill('SIGUSR2')
    await until(() => successors().length === at + 1)
    await until(() => (at === 0 ? lines.some(({ event }) => event === 'proxy.drained') : !isAlive(successors()[at - 1] ?? 0)))
    const count = asking.count()
    await until(() => asking.count() > count + 100)
    // Those of a thread that is gone are served by one that is there.
    if (process.platform === 'linux') await until(() => listeningOn(port) === 3)
  }
  assert.deepEqual(lines.filter(({ event }) => event === 'listener.not-bound'), [])
  const answers = await asking.stop()
  assert.deepEqual(Object.keys(answers), ['200 served'], JSON.stringify(answers))
})
