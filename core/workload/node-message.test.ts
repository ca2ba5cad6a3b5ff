import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { Faults } from '#core/fault/fault.ts'
import { NodeSchema } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import { readNode, writeNode } from './node-message.ts'
import type { ProxyNode } from './node.ts'

const sidecar: ProxyNode = {
  id: 'sidecar~127.0.1.2~order-v1.prod~prod.svc.cluster.local',
  type: 'sidecar',
  address: '127.0.1.2',
  addresses: ['127.0.1.2', 'fd00::2'],
  name: 'order-v1',
  namespace: 'prod',
  serviceAccount: 'order-service',
  labels: { app: 'order-service', version: 'v1' },
  cluster: 'kube-1',
  network: 'n1',
  locality: 'eu/eu-1/a',
  engine: 'weft',
  version: '0.1.0',
  outbound: { address: '127.0.1.2', port: 15001 },
  ports: [{ port: 8080, name: 'http', listen: { address: '127.0.1.2', port: 15006 }, app: { address: '127.0.1.2', port: 8080 } }],
  gatewayPorts: new Map([[443, 8443]]),
  gatewayAddress: '127.0.0.1',
  otlp: 'http://127.0.0.1:4318/v1/traces',
}

test('what a proxy writes of itself is what the control plane reads, over the wire', () => {
  const bytes = toBinary(NodeSchema, writeNode(sidecar))
  assert.deepEqual(readNode(fromBinary(NodeSchema, bytes)), sidecar)
})

test('a node made for Istio is read by its own words', () => {
  const node = readNode(
    create(NodeSchema, {
      id: 'router~10.0.0.7~gw-0.edge~edge.svc.cluster.local',
      metadata: { NAMESPACE: 'edge', SERVICE_ACCOUNT: 'gw', LABELS: { istio: 'ingressgateway' }, CLUSTER_ID: 'Kubernetes', INSTANCE_IPS: '10.0.0.7,fd00::7,fe80::7%eth0', ISTIO_VERSION: '1.27.0' },
      userAgentName: 'envoy',
    }),
  )
  assert.deepEqual([node.type, node.name, node.namespace, node.serviceAccount, node.labels['istio']], ['router', 'gw-0', 'edge', 'gw', 'ingressgateway'])
  assert.deepEqual(node.addresses, ['10.0.0.7', 'fd00::7'])
})

test('an id of no known form is a gRPC client', () => {
  assert.equal(readNode(create(NodeSchema, { id: 'my-client', userAgentName: 'gRPC Go' })).type, 'grpc')
})

test('ports may come as JSON text, as from an environment variable', () => {
  const node = readNode(create(NodeSchema, { id: 'sidecar~10.0.0.1~a.b~b.svc.cluster.local', metadata: { WEFT_PORTS: JSON.stringify(sidecar.ports) } }))
  assert.deepEqual(node.ports, sidecar.ports)
})

test('everything that is wrong is told at once', () => {
  const wrong = create(NodeSchema, {
    id: '',
    metadata: { NAMESPACE: 7, LABELS: { a: 1 }, WEFT_PORTS: [{ port: 70_000 }], WEFT_OUTBOUND: 'nowhere', WEFT_GATEWAY_PORTS: { '443': 0 }, WEFT_GATEWAY_ADDRESS: 'host' },
  })
  assert.throws(
    () => readNode(wrong),
    (raised) => raised instanceof Faults && raised.faults.length === 7,
  )
})
