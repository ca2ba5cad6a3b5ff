import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Faults } from '#core/fault/fault.ts'
import { type BootstrapDoors, readBootstrap, withFlags } from './read-bootstrap.ts'

const doors: BootstrapDoors = { readFile: () => '-----BEGIN CERTIFICATE-----\n', ownAddress: () => '10.0.0.7', hostName: () => 'order-v1', version: '1.2.3' }
const least = { WEFT_XDS: 'cp:15012', WEFT_XDS_ROOT: '/root.pem' }

function faultsOf(environment: Record<string, string>): string[] {
  try {
    readBootstrap(environment, 'sidecar', doors)
  } catch (error) {
    assert.ok(error instanceof Faults)
    return error.faults.map(({ path }) => path)
  }
  return []
}

test('two variables are enough for a sidecar, and the node id is as Istio writes it', () => {
  const bootstrap = readBootstrap(least, 'sidecar', doors)
  assert.equal(bootstrap.node.id, 'sidecar~10.0.0.7~order-v1.default~default.svc.cluster.local')
  assert.deepEqual(bootstrap.admin, { address: '127.0.0.1', port: 15_000 })
  assert.equal(bootstrap.drainMs, 30_000)
})

test('a sidecar tells all of its addresses, those of the machine unless it is told others', () => {
  const told = (environment: Record<string, string>, own: BootstrapDoors = doors) => {
    const { id, address, addresses } = readBootstrap({ ...least, ...environment }, 'sidecar', own).node
    return [id.split('~')[1], address, addresses]
  }
  assert.deepEqual(told({}, { ...doors, ownAddresses: () => ['10.0.0.7', 'fd00::7'] }), ['10.0.0.7', '10.0.0.7', ['10.0.0.7', 'fd00::7']])
  assert.deepEqual(told({ WEFT_ADDRESS: 'fd00::8, 10.0.0.8' }), ['fd00::8', 'fd00::8', ['fd00::8', '10.0.0.8']])
  assert.deepEqual(told({ WEFT_ADDRESS: 'fd00::8' }), ['fd00::8', 'fd00::8', undefined])
})

test('every variable finds its place', () => {
  const port = { port: 8080, name: 'http', listen: { address: '127.0.1.2', port: 15006 }, app: { address: '127.0.1.2', port: 8080 } }
  const bootstrap = readBootstrap(
    {
      ...least,
      WEFT_NAME: 'edge',
      WEFT_NAMESPACE: 'prod',
      WEFT_SERVICE_ACCOUNT: 'edge',
      WEFT_TRUST_DOMAIN: 'example.org',
      WEFT_LABELS: 'app=edge, version=v2',
      WEFT_ADDRESS: '127.0.1.2',
      WEFT_PORTS: JSON.stringify([port]),
      WEFT_OUTBOUND: '127.0.1.2:15001',
      WEFT_GATEWAY_PORTS: '443:8443,80:8081',
      WEFT_ADMIN: '127.0.1.2:15000',
      WEFT_DRAIN_SECONDS: '2.5',
      WEFT_JOIN_TOKEN_FILE: '/token',
    },
    'router',
    doors,
  )
  assert.equal(bootstrap.node.id, 'router~127.0.1.2~edge.prod~prod.svc.cluster.local')
  assert.deepEqual(bootstrap.identity, { trustDomain: 'example.org', namespace: 'prod', serviceAccount: 'edge' })
  assert.deepEqual(bootstrap.node.labels, { app: 'edge', version: 'v2' })
  assert.deepEqual(bootstrap.node.ports, [port])
  assert.deepEqual([...bootstrap.node.gatewayPorts], [[443, 8443], [80, 8081]])
  assert.deepEqual(bootstrap.node.outbound, { address: '127.0.1.2', port: 15_001 })
  assert.deepEqual(bootstrap.joinToken, { file: '/token' })
  assert.equal(bootstrap.drainMs, 2500)
})

test('all that is wrong is said at once, each by its variable', () => {
  assert.deepEqual(
    faultsOf({ WEFT_XDS: 'cp', WEFT_PORTS: '[{"port":0}]', WEFT_LABELS: '{"a":1}', WEFT_ADMIN: 'localhost:1', WEFT_DRAIN_SECONDS: 'soon', WEFT_ADDRESS: 'nowhere', WEFT_LOG_LEVEL: 'loud' }).sort(),
    ['WEFT_ADDRESS', 'WEFT_ADMIN', 'WEFT_DRAIN_SECONDS', 'WEFT_LABELS', 'WEFT_LOG_LEVEL', 'WEFT_PORTS', 'WEFT_XDS', 'WEFT_XDS_ROOT'],
  )
})

test('a missing root is no plaintext: that must be asked for by name', () => {
  assert.deepEqual(faultsOf({ WEFT_XDS: 'cp:15012' }), ['WEFT_XDS_ROOT'])
  assert.equal(readBootstrap({ WEFT_XDS: '127.0.0.1:15010', WEFT_XDS_PLAINTEXT: 'true' }, 'sidecar', doors).controlPlane.rootsPem, undefined)
})

test('a flag wins over its variable, and one that does not exist is refused', () => {
  const { environment, words } = withFlags({ WEFT_NAME: 'a' }, ['--name', 'b', '--xds-root=/r.pem', 'sleep', '1'])
  assert.equal(environment['WEFT_NAME'], 'b')
  assert.equal(environment['WEFT_XDS_ROOT'], '/r.pem')
  assert.deepEqual(words, ['sleep', '1'])
  assert.throws(() => withFlags({}, ['--nmae', 'b']), Faults)
})
