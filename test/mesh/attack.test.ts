import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { credentials, status } from '@grpc/grpc-js'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT, EXTENSION_CONFIG, HEALTH_INFORMATION, LISTENER, ROUTE_CONFIGURATION, SCOPED_ROUTE_CONFIGURATION, SECRET, VIRTUAL_HOST } from '#core/wire/type-url.ts'
import { makeRoot } from '#api/ca/root.ts'
import { type DeltaStream, nodeNamed, RawClient } from '#api/serve/raw-client.ts'
import { keyPem, readIssued } from '#proxy/identity/certificate.ts'
import { certificateService } from '#proxy/identity/certificate-service.ts'
import { createCsr, generateKey } from '#proxy/identity/csr.ts'
import { type PlaneUnderTest, startPlane } from '../parts/control-plane.ts'
import { until } from './shop.ts'

/** Stands in everything that only the victim may see. */
const canary = 'canary-7f3a'
const types = [CLUSTER, CLUSTER_LOAD_ASSIGNMENT, LISTENER, ROUTE_CONFIGURATION, SCOPED_ROUTE_CONFIGURATION, SECRET, EXTENSION_CONFIG, VIRTUAL_HOST]
const sidecar = (name: string, namespace = 'prod', labels: Record<string, string> = {}, address = '127.0.0.1') => nodeNamed(`sidecar~${address}~${name}.${namespace}~${namespace}.svc.cluster.local`, { NAMESPACE: namespace, LABELS: labels, WEFT_OUTBOUND: '127.0.0.1:15001' })
const service = (name: string, namespace: string) => ({ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace }, spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] } })

let world: PlaneUnderTest
before(async () => {
  world = await startPlane()
  await world.apply(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'prod' } },
    { apiVersion: 'networking.istio.io/v1', kind: 'WorkloadGroup', metadata: { name: 'payments', namespace: 'prod' }, spec: { metadata: { labels: { app: 'payments' } }, template: { serviceAccount: 'payments' } } },
    service('orders', 'prod'),
    service('payments', 'prod'),
  )
})
after(() => world.close())

/** Names of all that a victim holds, and of what it might. */
async function namesOf(victim: DeltaStream, node: ReturnType<typeof nodeNamed>): Promise<Map<string, string[]>> {
  const names = new Map<string, string[]>()
  for (const type of [CLUSTER, LISTENER, SCOPED_ROUTE_CONFIGURATION]) {
    victim.ask({ node, type })
    names.set(type, (await victim.take()).resources.map((one) => one.name))
  }
  names.set(CLUSTER_LOAD_ASSIGNMENT, names.get(CLUSTER) ?? [])
  const hosts = (names.get(CLUSTER) ?? []).flatMap((name) => name.match(/^outbound\|\d+\|[^|]*\|.*/)?.[0] ?? [])
  names.set(ROUTE_CONFIGURATION, [...hosts, '80', 'fallback|80'])
  names.set(SECRET, ['default', 'ROOTCA', 'kubernetes://edge-cert', 'kubernetes://edge/edge-cert', `kubernetes-gateway://edge/edge-cert`])
  return names
}

test("by no name, node id or protocol does a proxy get what is another mesh's", async (t) => {
  const { plane } = world
  const organization = await plane.ensureOrganization('victims')
  const mesh = await plane.ensureMesh(organization, 'vault', 'cluster.local')
  const key = await plane.createApiKey(organization, 'owner', 'owner')
  const { certificate, privateKey } = makeRoot({ organization: canary, nowMs: Date.now() })
  const applied = await fetch(`http://127.0.0.1:${plane.rest.port}/api/v1/organizations/victims/meshes/vault/apply`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      objects: [
        { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'prod' } },
        { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'edge' } },
        service(canary, 'prod'),
        { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'edge-cert', namespace: 'edge' }, type: 'kubernetes.io/tls', stringData: { 'tls.crt': certificate, 'tls.key': privateKey } },
        { apiVersion: 'networking.istio.io/v1', kind: 'Gateway', metadata: { name: 'edge', namespace: 'edge' }, spec: { selector: { istio: 'edge' }, servers: [{ port: { number: 443, name: 'https', protocol: 'HTTPS' }, hosts: ['*'], tls: { mode: 'SIMPLE', credentialName: 'edge-cert' } }] } },
      ],
    }),
  })
  assert.equal(applied.status, 200, await applied.text())
  const client = new RawClient(`127.0.0.1:${plane.xds.port}`, credentials.createSsl(Buffer.from(plane.xds.rootCertificate)))
  t.after(() => client.close())
  const victim = client.delta({ bearer: await plane.createJoinToken(mesh, 'prod', 'victim', 3_600_000) })
  const names = await namesOf(victim, sidecar('victim'))
  assert.ok(JSON.stringify([...names]).includes(canary), 'the victim sees its own')

  const attacker = await world.proxy('prod', 'attacker')
  const bytes: Uint8Array[] = []
  // As itself, and as the victim down to the node id: the credential chooses the mesh.
  for (const node of [sidecar('attacker'), sidecar('victim', 'prod', { istio: 'edge' })]) {
    for (const type of types) {
      const asked = [...new Set([...(names.get(type) ?? []), canary, `${canary}.prod.svc.cluster.local`, '*'])]
      const delta = attacker.client.delta({ bearer: attacker.bearer })
      delta.ask({ node, type, subscribe: asked, held: Object.fromEntries((names.get(type) ?? []).map((name) => [name, 'x'])) })
      const answer = await delta.take()
      bytes.push(...answer.resources.flatMap((one) => (one.resource && !asked.includes(one.name) ? [one.resource.value] : [])))
      // A placeholder bears the name that was asked for, and nothing else of it.
      for (const one of answer.resources) if (one.name.includes(canary)) assert.ok((one.resource?.value.length ?? 0) <= one.name.length + 60, `${type} ${one.name}`)
      delta.cancel()
      if (type === VIRTUAL_HOST) continue
      const sotw = attacker.client.sotw({ bearer: attacker.bearer })
      sotw.ask({ node, type, names: asked })
      // A type without anything to say stays silent: one that always answers is asked after it.
      sotw.ask({ type: type === LISTENER ? CLUSTER : LISTENER, names: ['*'] })
      for (let answers = 0; answers < 1; answers += 1) {
        const response = await sotw.next()
        if (response.typeUrl === type) bytes.push(...response.resources.map((one) => one.value).filter((value) => value.length > 200))
      }
      sotw.cancel()
    }
  }
  assert.ok(bytes.length > 0, 'it was sent something of its own')
  for (const one of bytes) assert.ok(!Buffer.from(one).includes(canary))
})

test("within its mesh a proxy gets no other's node: namespace and account are the credential's, in every place where a node says them", async () => {
  const attacker = await world.proxy('prod', 'attacker')
  const lies = [
    sidecar('victim', 'other'),
    nodeNamed('sidecar~127.0.0.1~victim.prod~prod.svc.cluster.local', { NAMESPACE: 'other' }),
    nodeNamed('sidecar~127.0.0.1~victim.prod~prod.svc.cluster.local', { NAMESPACE: 'prod', SERVICE_ACCOUNT: 'victim' }),
    nodeNamed('router~127.0.0.1~edge.edge~edge.svc.cluster.local', { NAMESPACE: 'prod' }),
  ]
  for (const node of lies) {
    for (const protocol of ['delta', 'sotw'] as const) {
      const stream = protocol === 'delta' ? attacker.client.delta({ bearer: attacker.bearer }) : attacker.client.sotw({ bearer: attacker.bearer })
      stream.ask({ node, type: CLUSTER })
      assert.equal((await stream.status()).code, status.PERMISSION_DENIED)
      assert.equal(stream.received.length, 0)
    }
  }
})

test("rule 2: proxy A's certificate with proxy B's node gets no resource, and no key of B's mesh, though both meshes bear one trust domain", async (t) => {
  const { plane } = world
  const key = generateKey()
  const uri = 'spiffe://cluster.local/ns/prod/sa/attacker'
  const sign = certificateService({ target: `localhost:${plane.xds.port}`, rootsPem: plane.xds.rootCertificate, serverName: undefined }, () => Date.now())
  const token = await plane.createJoinToken(world.mesh, 'prod', 'attacker', 60_000)
  const { chainPem } = readIssued(await sign(createCsr(key, uri), { kind: 'token', token }, 60_000), key, uri, Date.now())
  const client = new RawClient(`127.0.0.1:${plane.xds.port}`, credentials.createSsl(Buffer.from(plane.xds.rootCertificate), Buffer.from(keyPem(key)), Buffer.from(chainPem)))
  t.after(() => client.close())
  const itself = client.delta()
  itself.ask({ node: sidecar('attacker'), type: CLUSTER })
  const own = (await itself.take()).resources.map((one) => one.name)
  assert.ok(own.some((name) => name.includes('orders.prod')) && !JSON.stringify(own).includes(canary), 'its certificate opens its own mesh')
  for (const protocol of ['delta', 'sotw'] as const) {
    for (const type of types) {
      const stream = protocol === 'delta' ? client.delta() : client.sotw()
      stream.ask({ node: sidecar('victim', 'other'), type })
      assert.equal((await stream.status()).code, status.PERMISSION_DENIED)
      assert.equal(stream.received.length, 0)
    }
  }
  // Nor is another identity signed for whoever shows this one.
  await assert.rejects(sign(createCsr(key, 'spiffe://cluster.local/ns/prod/sa/victim'), { kind: 'token', token }, 60_000).then((chain) => readIssued(chain, key, 'spiffe://cluster.local/ns/prod/sa/victim', Date.now())))
})

test('where a WorkloadGroup speaks of an account its labels win: such a workload neither joins another service nor leaves its own', async (t) => {
  const { client, bearer } = await world.proxy('prod', 'payments')
  const liar = client.delta({ bearer })
  t.after(() => liar.cancel())
  liar.ask({ node: sidecar('payments-1', 'prod', { app: 'orders', version: 'v9' }, '10.9.9.9'), type: CLUSTER })
  await liar.take()
  await until('it is in the mesh', () => world.logs.some((line) => line.includes('registry.joined') && line.includes('prod/payments-1')))
  const endpointsOf = async (name: string): Promise<string> => {
    const cluster = `outbound|80||${name}.prod.svc.cluster.local`
    const watcher = (await world.proxy('prod', 'watcher')).client.delta({ bearer: (await world.proxy('prod', 'watcher')).bearer })
    watcher.ask({ node: sidecar('watcher'), type: CLUSTER_LOAD_ASSIGNMENT, subscribe: [cluster] })
    const text = Buffer.from((await watcher.take()).resources[0]?.resource?.value ?? []).toString('latin1')
    watcher.cancel()
    return text
  }
  await until('it serves what its group says', async () => (await endpointsOf('payments')).includes('10.9.9.9'))
  assert.ok(!(await endpointsOf('orders')).includes('10.9.9.9'))
})

test('a live workload of another account is neither replaced nor called ill by its name', async (t) => {
  const [owner, thief] = [await world.proxy('prod', 'named'), await world.proxy('prod', 'thief')]
  const held = owner.client.delta({ bearer: owner.bearer })
  held.ask({ node: sidecar('named-1', 'prod', { app: 'orders' }, '10.7.7.7'), type: CLUSTER })
  await held.take()
  const claim = () => {
    const stream = thief.client.delta({ bearer: thief.bearer })
    t.after(() => stream.cancel())
    stream.ask({ node: sidecar('named-1', 'prod', { app: 'orders' }, '10.7.7.8'), type: CLUSTER })
    return stream
  }
  assert.equal((await claim().status()).code, status.PERMISSION_DENIED)
  assert.ok(world.logs.some((line) => line.includes('registry.name-taken') && line.includes('prod/named-1')))
  held.end()
  await held.status()
  await claim().take()
})

test('a proxy that changes its mind without end about its health is written a few times', async () => {
  const { client, bearer } = await world.proxy('prod', 'fickle')
  const stream = client.delta({ bearer })
  stream.ask({ node: sidecar('fickle-1', 'prod', { app: 'orders' }, '10.6.6.6'), type: CLUSTER })
  await stream.take()
  for (let turn = 0; turn < 300; turn += 1) stream.ask({ type: HEALTH_INFORMATION, ...(turn % 2 === 0 ? { error: 'ill' } : {}) })
  stream.end()
  await stream.status()
  await until('it has left', () => world.logs.some((line) => line.includes('registry.left') && line.includes('prod/fickle-1')))
  assert.ok(world.logs.filter((line) => line.includes('registry.joined') && line.includes('prod/fickle-1')).length < 100)
})

test('an address where a live workload of another account is cannot be claimed, and is free once that has said goodbye', async (t) => {
  const [owner, thief] = [await world.proxy('prod', 'owner'), await world.proxy('prod', 'thief')]
  const held = owner.client.delta({ bearer: owner.bearer })
  held.ask({ node: sidecar('owner-1', 'prod', { app: 'orders' }, '10.8.8.8'), type: CLUSTER })
  await held.take()
  const claim = () => {
    const stream = thief.client.delta({ bearer: thief.bearer })
    t.after(() => stream.cancel())
    stream.ask({ node: sidecar('thief-1', 'prod', { app: 'orders' }, '10.8.8.8'), type: CLUSTER })
    return stream
  }
  assert.equal((await claim().status()).code, status.PERMISSION_DENIED)
  assert.ok(world.logs.some((line) => line.includes('registry.address-taken') && line.includes('10.8.8.8')))
  held.end()
  await held.status()
  await claim().take()
})
