import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, toBinary } from '@bufbuild/protobuf'
import { ProxyConfigSchema } from '#core/wire/gen/istio/mesh/v1alpha1/proxy_pb.ts'
import { readBootstrap } from '../bootstrap/read-bootstrap.ts'
import { noSettings, readSettings, startWith } from './proxy-settings.ts'

const bootstrapOf = (environment: Record<string, string> = {}) =>
  readBootstrap({ WEFT_XDS: '127.0.0.1:1', WEFT_XDS_PLAINTEXT: 'true', ...environment }, 'sidecar', { readFile: () => '', ownAddress: () => '127.0.0.1', hostName: () => 'h', version: '0' })

test('where the mesh says nothing, a proxy starts by its own settings', () => {
  const bootstrap = bootstrapOf({ HOME: '/' })
  assert.deepEqual(startWith(bootstrap, noSettings, 8), { concurrency: undefined, environment: bootstrap.environment, node: bootstrap.node, probe: undefined })
})

test('the process’s own word counts before the mesh’s', () => {
  const told = { ...noSettings, concurrency: 3, variables: { PLACE: 'cellar', TEAM: 'blue' } }
  const start = startWith(bootstrapOf({ WEFT_CONCURRENCY: '2', PLACE: 'attic' }), told, 8)
  assert.equal(start.concurrency, 2)
  assert.deepEqual([start.environment['PLACE'], start.environment['TEAM']], ['attic', 'blue'])
})

test('a concurrency of 0 is a thread for each core, within bounds', () => {
  assert.equal(startWith(bootstrapOf(), { ...noSettings, concurrency: 0 }, 8).concurrency, 8)
  assert.equal(startWith(bootstrapOf(), { ...noSettings, concurrency: 1000 }, 8).concurrency, 64)
})

test('variables ISTIO_META_… become words of the node, but for those that it says elsewhere', () => {
  const variables = { ISTIO_META_TEAM: 'blue', ISTIO_META_NAMESPACE: 'other', ISTIO_META_WEFT_PORTS: '[]' }
  assert.deepEqual(startWith(bootstrapOf(), { ...noSettings, variables }, 8).node.metadata, { TEAM: 'blue' })
})

test('variables that say who the proxy is are for its own machine to say', () => {
  const bytes = toBinary(ProxyConfigSchema, create(ProxyConfigSchema, { concurrency: -1, proxyMetadata: { WEFT_XDS: 'evil:1', 'NO NAME': 'a', NUL: 'a\0b', GOOD: 'yes' } }))
  assert.deepEqual(readSettings(bytes), { concurrency: undefined, variables: { GOOD: 'yes' }, probe: undefined })
})
