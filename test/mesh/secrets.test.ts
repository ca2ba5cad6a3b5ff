import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CLUSTER, LISTENER, SECRET } from '#core/wire/type-url.ts'
import { nodeNamed } from '#api/serve/raw-client.ts'
import { makeRoot } from '#api/ca/root.ts'
import { startPlane } from '../parts/control-plane.ts'
import { until } from './shop.ts'

test("rule 28: another's secret is a removal and a line in the log, and no output of the control plane holds a key", async (t) => {
  const world = await startPlane()
  t.after(() => world.close())
  const { certificate, privateKey } = makeRoot({ organization: 'edge', nowMs: Date.now() })
  // What only the key's own text has: any 24 characters of it would do.
  const canary = privateKey.split('\n')[1]?.slice(0, 24) ?? ''
  assert.equal(canary.length, 24)
  await world.apply(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'edge' } },
    { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'edge-cert', namespace: 'edge' }, type: 'kubernetes.io/tls', stringData: { 'tls.crt': certificate, 'tls.key': privateKey } },
    { apiVersion: 'networking.istio.io/v1', kind: 'Gateway', metadata: { name: 'edge', namespace: 'edge' }, spec: { selector: { istio: 'edge' }, servers: [{ port: { number: 443, name: 'https', protocol: 'HTTPS' }, hosts: ['*'], tls: { mode: 'SIMPLE', credentialName: 'edge-cert' } }] } },
  )
  const gateway = await world.proxy('edge', 'edge')
  const owner = gateway.client.delta({ bearer: gateway.bearer })
  owner.ask({ node: nodeNamed('router~127.0.0.1~edge.edge~edge.svc.cluster.local', { NAMESPACE: 'edge', LABELS: { istio: 'edge' } }), type: SECRET, subscribe: ['kubernetes://edge-cert'] })
  const own = await owner.take()
  assert.ok(Buffer.from(own.resources[0]?.resource?.value ?? []).includes(canary), 'the owner has it')
  owner.ask({ type: LISTENER })
  await owner.take()

  const sidecar = await world.proxy('prod', 'thief')
  const thief = sidecar.client.delta({ bearer: sidecar.bearer })
  const names = ['kubernetes://edge-cert', 'kubernetes://edge-cert-cacert', 'kubernetes-gateway://edge/edge-cert', 'default']
  thief.ask({ node: nodeNamed('sidecar~127.0.0.1~thief.prod~prod.svc.cluster.local', { NAMESPACE: 'prod' }), type: SECRET, subscribe: names })
  const refused = await thief.take()
  assert.deepEqual([refused.resources, refused.removedResources.sort()], [[], names.sort()])
  // Nor by a node that says it is the gateway.
  const liar = sidecar.client.delta({ bearer: sidecar.bearer })
  liar.ask({ node: nodeNamed('router~127.0.0.1~edge.edge~edge.svc.cluster.local', { NAMESPACE: 'edge', LABELS: { istio: 'edge' } }), type: SECRET, subscribe: names })
  await liar.status()
  assert.equal(liar.received.length, 0)
  // Nor by a gateway of another namespace with the same labels.
  const elsewhere = await world.proxy('other', 'edge')
  const copy = elsewhere.client.delta({ bearer: elsewhere.bearer })
  copy.ask({ node: nodeNamed('router~127.0.0.1~edge.other~other.svc.cluster.local', { NAMESPACE: 'other', LABELS: { istio: 'edge' } }), type: SECRET, subscribe: ['kubernetes://edge-cert'] })
  assert.deepEqual((await copy.take()).resources, [])
  await until('the log tells of it', () => world.logs.some((line) => line.includes('xds.secret-refused') && line.includes('/ns/prod/sa/thief') && line.includes('kubernetes://edge-cert')))

  // Everything that people can read.
  thief.ask({ type: CLUSTER })
  thief.nack(await thief.next(), `no ${names.join(' ')}`)
  const pages = ['', '/resources', '/history', '/proxies', '/proxies/edge.edge/config', '/proxies/thief.prod/config', '/topology']
  const outputs = await Promise.all(pages.map(async (page) => (await world.rest(page)).text()))
  const monitoring = `http://127.0.0.1:${world.plane.monitoring.port}`
  for (const page of ['/metrics', `/debug/csds?mesh=${world.mesh.id}`, `/debug/csds?mesh=${world.mesh.id}&node=${encodeURIComponent('router~127.0.0.1~edge.edge~edge.svc.cluster.local')}`]) outputs.push(await (await fetch(`${monitoring}${page}`)).text())
  const kube = `http://127.0.0.1:${world.plane.rest.port}/k8s/demo/shop/api/v1/namespaces/edge/secrets/edge-cert`
  outputs.push(await (await world.rest('/resources?kind=Secret')).text(), await (await fetch(kube)).text(), world.logs.join('\n'))
  const inBase64 = Buffer.from(privateKey).toString('base64').slice(60, 84)
  for (const [at, output] of outputs.entries()) assert.ok(!output.includes(canary) && !output.includes(inBase64), `output ${at}: ${pages[at] ?? ''}`)
  assert.ok(outputs[4]?.includes('edge-cert'), 'the secret is named, and only named')
})
