import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import http2 from 'node:http2'
import { test } from 'node:test'
import { claimBlock } from '#cli/engines/address-block.ts'
import { wasmModule } from '#cli/engines/wasm-module.ts'
import { systemDoors } from '#core/time/system.ts'
import { ENVOY_VERSIONS } from '#infra/parts/envoy.ts'
import { httpServer } from '#proxy/testing/peers.ts'
import { type PlaneUnderTest, startPlane } from '../parts/control-plane.ts'
import { startGateway } from '../parts/gateway.ts'
import { pushModule, startRegistry } from '../parts/registry.ts'
import { send, until } from './shop.ts'

const module = Buffer.from(wasmModule)
/** The same to whoever runs it, with a section that says nothing: another module by its digest. */
const another = Buffer.concat([module, Buffer.from([0, 2, 1, 0x78])])
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

const plugin = (name: string, url: string, more: object = {}) => ({ apiVersion: 'extensions.istio.io/v1alpha1', kind: 'WasmPlugin', metadata: { name, namespace: 'edge' }, spec: { selector: { matchLabels: { app: 'edge' } }, url, pluginConfig: { of: name }, ...more } })

const entry = (port: number): object[] => [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'edge' } },
  { apiVersion: 'networking.istio.io/v1', kind: 'Gateway', metadata: { name: 'edge', namespace: 'edge' }, spec: { selector: { app: 'edge' }, servers: [{ port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: ['*'] }] } },
  { apiVersion: 'networking.istio.io/v1', kind: 'ServiceEntry', metadata: { name: 'up', namespace: 'edge' }, spec: { hosts: ['up.internal'], ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], resolution: 'STATIC', endpoints: [{ address: '127.0.0.1', ports: { http: port } }] } },
  { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'up', namespace: 'edge' }, spec: { hosts: ['*'], gateways: ['edge'], http: [{ route: [{ destination: { host: 'up.internal' } }] }] } },
]

/** What is told of a plugin. */
async function told(under: PlaneUnderTest, name: string): Promise<string> {
  const { items } = (await (await under.rest(`/resources?kind=WasmPlugin&namespace=edge`)).json()) as { items: { metadata: { name: string }; status: unknown }[] }
  return JSON.stringify(items.find(({ metadata }) => metadata.name === name)?.status)
}

/** The digests of modules that plugins have now, by member. */
async function states(under: PlaneUnderTest): Promise<Readonly<Record<string, { readonly sha256?: string; readonly error?: string }>>> {
  const { items } = (await (await under.rest('/resources?kind=ConfigMap&namespace=edge')).json()) as { items: { data: Record<string, string> }[] }
  return Object.fromEntries(Object.entries(items[0]?.data ?? {}).map(([member, text]) => [member, JSON.parse(text) as { sha256?: string }]))
}

/** One GET on the xDS port. */
function download(under: PlaneUnderTest, path: string, bearer?: string): Promise<{ status: number; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(`https://127.0.0.1:${under.plane.xds.port}`, { ca: under.plane.xds.rootCertificate })
    session.on('error', reject)
    const stream = session.request({ ':path': path, ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }) })
    const pieces: Buffer[] = []
    let status = 0
    stream.on('response', (headers) => (status = Number(headers[':status'])))
    stream.on('data', (piece: Buffer) => pieces.push(piece))
    stream.on('error', reject)
    stream.on('end', () => {
      session.destroy()
      resolve({ status, body: Buffer.concat(pieces) })
    })
    stream.end()
  })
}

test('the newest and the oldest Envoy run a module out of a registry; while that says no, what would pass it is refused, or passes where it may, and they heal by themselves', async (t) => {
  const registry = await startRegistry(t)
  registry.entry = 'bearer'
  await pushModule(registry, 'team/sign-in', '1', module, 'oci')
  const under = await startPlane({ modules: { privateNetworks: true } })
  t.after(() => under.close())
  const upstream = await httpServer(t, (request, response) => response.end(String(request.headers['x-plugin'] ?? 'none')))
  const secret = (password?: string) => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'pull', namespace: 'edge' }, type: 'kubernetes.io/dockerconfigjson', stringData: { '.dockerconfigjson': registry.pullSecret(password) } })
  await under.apply(...entry(upstream.port), secret('wrong-4711'), plugin('passed-over', `oci://${registry.host}/team/none:1`, { failStrategy: 'FAIL_OPEN', imagePullSecret: 'pull' }))
  const block = await claimBlock(systemDoors.random.draw)
  t.after(() => block.release())
  const edges = await Promise.all(ENVOY_VERSIONS.map((envoy, index) => startGateway(t, under, 'envoy', { ports: [80], envoy, block, index })))
  /** What each of them answers now. */
  const answers = (): Promise<string[]> =>
    Promise.all(
      edges.map(async (edge) => {
        const { status, body } = await send(`${edge.address}:${edge.port(80)}`, { host: 'shop.example', path: '/' })
        return `${status} ${body}`
      }),
    )
  const allAnswer = async (words: RegExp): Promise<boolean> => (await answers()).every((one) => words.test(one))
  // All may pass a plugin that fails open, whose module was never there.
  await until('it is passed over', () => allAnswer(/^200 none$/))
  await under.apply(plugin('closed', `oci://${registry.host}/team/sign-in:1`, { imagePullSecret: 'pull' }))
  await until('what would pass the other is refused', () => allAnswer(/^403 /))
  await until('it says why', async () => /answers 401 to the credentials of the pull secret/.test(await told(under, 'closed')))
  assert.match(await told(under, 'closed'), /"Programmed","status":"False"/)

  await under.apply(secret())
  await until('the module runs', async () => {
    const now = await answers()
    for (const one of now) assert.match(one, /^403 |^200 \{"of":"closed"\}$/, 'nothing passes without it')
    return now.every((one) => one.startsWith('200 '))
  })
  await until('it says so', async () => /"Programmed","status":"True"/.test(await told(under, 'closed')))

  // Another one is wanted, and cannot be had.
  registry.entry = 'broken'
  await under.apply(plugin('closed', `oci://${registry.host}/team/sign-in:2`, { imagePullSecret: 'pull' }))
  await until('the next one cannot be had', () => allAnswer(/^403 /))
  await pushModule(registry, 'team/sign-in', '2', another, 'artifact')
  registry.entry = 'bearer'
  await until('it heals', () => allAnswer(/^200 \{"of":"closed"\}$/))
  assert.equal((await states(under))['plugin.closed']?.sha256, sha256(another))
  const everything = `${under.logs.join('')}${await told(under, 'closed')}${await (await under.rest('/resources?namespace=edge')).text()}`
  assert.doesNotMatch(everything, /wrong-4711|let-me-pull|cHVsbGVy|a-token-for/)
})

test('a module is had from the control plane by proxies of its mesh alone, by what it is now', async (t) => {
  const registry = await startRegistry(t)
  registry.entry = 'basic'
  for (const tag of ['latest', '1']) await pushModule(registry, 'team/a', tag, module)
  const under = await startPlane({ modules: { privateNetworks: true } })
  t.after(() => under.close())
  const server = await httpServer(t, (_request, response) => response.end(another))
  const withSecret = { imagePullSecret: 'pull' }
  const extension = (name: string, wasm: object, priority = 1) => ({ apiVersion: 'extensions.istio.io/v1alpha1', kind: 'TrafficExtension', metadata: { name, namespace: 'edge' }, spec: { priority, wasm } })
  const plugins = (priority: number): object[] => [
    plugin('latest', `oci://${registry.host}/team/a`, { ...withSecret, priority }),
    plugin('kept', `oci://${registry.host}/team/a:latest`, { ...withSecret, imagePullPolicy: 'IfNotPresent', priority }),
    plugin('tagged', `${registry.host}/team/a:1`, { ...withSecret, priority }),
    extension('always', { url: `oci://${registry.host}/team/a:1`, ...withSecret, imagePullPolicy: 'Always' }, priority),
  ]
  await under.apply(
    ...entry(1),
    { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'pull', namespace: 'edge' }, type: 'kubernetes.io/dockerconfigjson', stringData: { '.dockerconfigjson': registry.pullSecret() } },
    ...plugins(1),
    extension('plain', { url: `http://127.0.0.1:${server.port}/plugin.wasm` }),
    extension('without', { url: `oci://${registry.host}/team/a:1` }),
  )
  const { bearer } = await under.proxy('edge', 'edge')
  const { organizationId } = under.mesh
  const stranger = await under.plane.createJoinToken(await under.plane.ensureMesh({ ...(await under.plane.ensureOrganization('demo')), id: organizationId }, 'other', 'cluster.local'), 'edge', 'edge', 3_600_000)
  const has = async (member: string, bytes: Buffer): Promise<void> => until(`${member} is here`, async () => (await states(under))[member]?.sha256 === sha256(bytes))
  for (const member of ['plugin.latest', 'plugin.kept', 'plugin.tagged', 'extension.always']) await has(member, module)
  await until('a registry that wants credentials is not satisfied without', async () => /answers 401 to a request without credentials/.test((await states(under))['extension.without']?.error ?? ''))
  // Without a digest the control plane fetches what an Envoy would not.
  await has('extension.plain', another)
  const path = `/modules/edge/plugin.latest/${sha256(module)}`
  assert.ok((await download(under, path, bearer)).body.equals(module))
  assert.ok((await download(under, `/modules/edge/extension.plain/${sha256(another)}`, bearer)).body.equals(another))
  assert.deepEqual(
    [
      (await download(under, path)).status,
      (await download(under, path, `weft_join_${'x'.repeat(43)}`)).status,
      (await download(under, path, stranger)).status,
      (await download(under, `/modules/edge/plugin.kept/${sha256(another)}`, bearer)).status,
      (await download(under, `/modules/edge/plugin.none/${sha256(module)}`, bearer)).status,
      (await download(under, `${path}/more`, bearer)).status,
    ],
    [401, 401, 404, 404, 404, 404],
  )
  // The tag moves: who is to be pulled always has the new one with its next change, and who is not keeps the old one.
  for (const tag of ['latest', '1']) await pushModule(registry, 'team/a', tag, another)
  await under.apply(...plugins(2))
  await has('plugin.latest', another)
  await has('extension.always', another)
  for (const member of ['plugin.kept', 'plugin.tagged']) assert.equal((await states(under))[member]?.sha256, sha256(module), member)
  assert.equal((await download(under, path, bearer)).status, 404)
  assert.ok((await download(under, `/modules/edge/plugin.kept/${sha256(module)}`, bearer)).body.equals(module))
})
