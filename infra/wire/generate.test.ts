import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { emitCode } from './emit.ts'
import { codeDirectory, readKept, subsetOf } from './generate.ts'
import { jsonName } from './subset.ts'
import { pythonBytes } from './wheel.ts'

test('the code in core/wire/gen is what the kept descriptors and the roots give (else: npm run wire)', () => {
  const code = emitCode(subsetOf(readKept()))
  const found = readdirSync(codeDirectory, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  assert.deepEqual(found.sort(), [...code.keys()].sort())
  for (const [name, text] of code) assert.equal(readFileSync(join(codeDirectory, name), 'utf8'), text, name)
})

test('nothing of the options is left, and nothing that only declared them', () => {
  for (const file of subsetOf(readKept())) {
    if (file.name.startsWith('google/protobuf/')) continue
    assert.equal(file.options, undefined, file.name)
    assert.deepEqual(file.dependency.filter((name) => /annotations|validate/.test(name)), [], file.name)
  }
})

test('a root that nobody published is an error that names it', () => {
  const without = readKept().filter((file) => file.name !== 'xds/core/v3/authority.proto')
  assert.throws(() => subsetOf(without), /xds\/core\/v3\/authority\.proto/)
})

test('names in JSON follow protoc', () => {
  assert.deepEqual(['name', 'filter_chains', 'h2_x', 'a__b', 'ends_', '_leads', 'Upper_case'].map(jsonName), ['name', 'filterChains', 'h2X', 'aB', 'ends', 'Leads', 'UpperCase'])
})

test('a Python literal gives the bytes that Python would', () => {
  assert.deepEqual([...pythonBytes(String.raw`a\n\x00\377\0018\\n\'\"`)], [0x61, 0x0a, 0x00, 0xff, 0x01, 0x38, 0x5c, 0x6e, 0x27, 0x22])
})
