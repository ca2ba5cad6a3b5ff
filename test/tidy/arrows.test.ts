import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { importsOf, sourceFiles } from './sources.ts'

/** Who may import whom: ARCHITECTURE.md, "Arrows". A room not listed may be imported by nobody else. Tests, benches and `main.ts` files join rooms freely. */
const mayImport: Record<string, readonly string[]> = {
  core: ['core'],
  db: ['db', 'core'],
  api: ['api', 'db', 'core'],
  proxy: ['proxy', 'core'],
  gateway: ['gateway', 'proxy', 'core'],
  console: ['console', 'core'],
  agent: ['agent', 'core'],
  cli: ['cli', 'core', 'api', 'infra'],
  infra: ['infra', 'core'],
  examples: ['examples'],
}

const lowerFloor = ['time', 'fault', 'identity', 'match', 'route', 'authz', 'balance', 'limit', 'telemetry', 'wire', 'plan', 'workload']
const lowerFloorPackages = ['@bufbuild/protobuf', 're2js']
/** Of the control plane, only what is as pure as core may be used by commands that work offline. */
const offlineRooms = ['model', 'analyze', 'translate', 'simulate']
/** Commands that run whole parts of the system, and so join rooms as `main.ts` files do. */
const joiningCommands = /^cli\/(commands\/(up|server|proxy|gateway|bootstrap|install-capture)|(up|engines)\/[^/]+)\.ts$/

const isTest = (file: string) => file.includes('.test.') || file.startsWith('test/') || file.startsWith('bench/') || file.includes('/testing/')
const joins = (file: string) => /(^|\/)main\.tsx?$/.test(file) || joiningCommands.test(file) || file.startsWith('infra/docs/')

test('every import follows an arrow of the house', () => {
  const wrong: string[] = []
  for (const file of sourceFiles()) {
    if (isTest(file)) continue
    const [room = '', floor = ''] = file.split('/')
    for (const target of importsOf(readFileSync(file, 'utf8'), file)) {
      const [targetRoom = '', targetFloor = ''] = target.path.split('/')
      if (!target.internal) continue
      const allowed = mayImport[room]?.includes(targetRoom) ?? false
      const tooHigh = room === 'core' && lowerFloor.includes(floor) && targetRoom === 'core' && !lowerFloor.includes(targetFloor)
      const online = room === 'cli' && targetRoom === 'api' && !offlineRooms.includes(targetFloor) && !joins(file)
      const upper = (room === 'proxy' || room === 'gateway') && targetRoom === 'core' && !lowerFloor.includes(targetFloor)
      const testing = targetRoom === 'test' || targetRoom === 'bench'
      const impure = room === 'api' && offlineRooms.includes(floor) && targetRoom !== 'core' && !target.typeOnly && !(targetRoom === 'api' && offlineRooms.includes(targetFloor))
      if (testing || ((!allowed || online) && !joins(file)) || tooHigh || upper || impure) wrong.push(`${file} → ${target.path}`)
    }
  }
  assert.deepEqual(wrong, [])
})

test('core has no I/O, and its lower floor no package but the protobuf runtime and the regular expressions', () => {
  const wrong: string[] = []
  for (const file of sourceFiles()) {
    const [room = '', floor = ''] = file.split('/')
    if (room !== 'core' || isTest(file)) continue
    for (const target of importsOf(readFileSync(file, 'utf8'), file)) {
      if (target.internal) continue
      if (target.path.startsWith('node:')) wrong.push(`${file} → ${target.path}`)
      if (lowerFloor.includes(floor) && !lowerFloorPackages.some((name) => target.path === name || target.path.startsWith(`${name}/`))) wrong.push(`${file} → ${target.path}`)
    }
  }
  assert.deepEqual(wrong, [])
})

test('time, chance and the environment enter by their doors alone', () => {
  const wrong: string[] = []
  const sources = /\b(Date\.now\(|new Date\(\)|Math\.random\b|process\.env\b)/
  for (const file of sourceFiles()) {
    const [room = ''] = file.split('/')
    if (isTest(file) || joins(file) || file === 'core/time/system.ts' || ['cli', 'infra', 'examples', 'console'].includes(room)) continue
    const text = readFileSync(file, 'utf8')
    for (const [index, line] of text.split('\n').entries()) if (sources.test(line) && !/^\s*(\/\/|\*)/.test(line)) wrong.push(`${file}:${index + 1} ${line.trim()}`)
  }
  assert.deepEqual(wrong, [])
})
