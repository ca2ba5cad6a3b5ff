import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse, stringify } from 'yaml'
import { brokenInView } from './testing/envoy-rules.ts'
import { listed, meshOf, nodeFrom, objectsIn, readable, workloadFrom } from './testing/mesh-case.ts'
import type { MeshCase } from './testing/mesh-case.ts'

const root = join(import.meta.dirname, 'cases')
const write = process.env['WEFT_WRITE'] === '1'

for (const name of readdirSync(root).sort()) {
  const folder = join(root, name)
  const about = parse(readFileSync(join(folder, 'case.yaml'), 'utf8')) as MeshCase
  test(`${name}: ${about.sentence}`, () => {
    const { views } = meshOf(objectsIn(readFileSync(join(folder, 'mesh.yaml'), 'utf8')), (about.workloads ?? []).map(workloadFrom), about.settings)
    const view = views.viewFor(nodeFrom(about.proxy), undefined)
    assert.deepEqual(views.faults().flatMap((one) => one.faults.map((fault) => fault.code)), about.faults ?? [])
    for (const engine of ['weft', 'envoy'] as const) assert.deepEqual(brokenInView(views.viewFor({ ...nodeFrom(about.proxy), engine }, undefined)), [], 'rules of Envoy’s API')
    const expected = join(folder, 'expected')
    if (write) rmSync(expected, { recursive: true, force: true })
    for (const [file, resources] of Object.entries(listed(view))) {
      if (about.shows !== undefined && !about.shows.includes(file)) continue
      const path = join(expected, `${file}.yaml`)
      const got = resources.map(readable)
      if (write) {
        mkdirSync(expected, { recursive: true })
        writeFileSync(path, stringify(got, { lineWidth: 0, aliasDuplicateObjects: false }))
      } else {
        assert.ok(existsSync(path), `${path} is missing: run with WEFT_WRITE=1 and review it`)
        assert.deepEqual(got, parse(readFileSync(path, 'utf8')))
      }
    }
  })
}
