import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { describeFault } from '#core/fault/fault.ts'
import { readCluster } from '#core/plan/read-cluster.ts'
import { readEndpoints } from '#core/plan/read-endpoints.ts'
import { readListener } from '#core/plan/read-listener.ts'
import { readRoute } from '#core/plan/read-route.ts'
import { readScope } from '#core/plan/read-scope.ts'
import { listed, meshOf, nodeFrom, objectsIn, workloadFrom } from './testing/mesh-case.ts'
import type { MeshCase } from './testing/mesh-case.ts'

const cases = join(import.meta.dirname, 'cases')
const readers = { listeners: readListener, scopes: readScope, routes: readRoute, clusters: readCluster, endpoints: readEndpoints }

test('the bundled sidecar can carry out every case', async (context) => {
  for (const name of readdirSync(cases).sort()) {
    await context.test(name, () => {
      const about = parse(readFileSync(join(cases, name, 'case.yaml'), 'utf8')) as MeshCase
      const { views } = meshOf(objectsIn(readFileSync(join(cases, name, 'mesh.yaml'), 'utf8')), (about.workloads ?? []).map(workloadFrom), about.settings)
      const of = listed(views.viewFor({ ...nodeFrom(about.proxy), engine: 'weft' }, undefined))
      const faults = Object.entries(readers).flatMap(([file, read]) =>
        (of[file] ?? []).flatMap((resource) => {
          const plan = read(resource.bytes, resource.version)
          return plan.ok ? [] : plan.faults.map((fault) => `${resource.name}: ${describeFault(fault)}`)
        }),
      )
      assert.deepEqual(faults, [])
    })
  }
})
