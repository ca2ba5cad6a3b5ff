import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { test } from 'node:test'
import { onExit } from './on-exit.ts'

test('however many wait for the end, the process has one listener, and none when all have taken it back', () => {
  const before = process.listenerCount('exit')
  const takeBack = Array.from({ length: 20 }, () => onExit(() => {}))
  assert.equal(process.listenerCount('exit'), before + 1)
  for (const one of takeBack) one()
  assert.equal(process.listenerCount('exit'), before)
})

test('at the end is done what was not taken back, and nobody is warned of a leak', () => {
  const script = `
    const { onExit } = await import(${JSON.stringify(path.join(import.meta.dirname, 'on-exit.ts'))})
    const all = Array.from({ length: 20 }, (_, index) => onExit(() => process.stdout.write(index + ' ')))
    for (const [index, takeBack] of all.entries()) if (index !== 3 && index !== 17) takeBack()
    process.exit(0)`
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  assert.deepEqual({ stdout, stderr, status }, { stdout: '3 17 ', stderr: '', status: 0 })
})
