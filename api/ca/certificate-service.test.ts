import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { create } from '@bufbuild/protobuf'
import { type ChannelCredentials, Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { MemoryView } from '#api/serve/memory-view.ts'
import type { Peer, ServeDoors } from '#api/serve/peer.ts'
import { nodeNamed, RawClient } from '#api/serve/raw-client.ts'
import type { Resource } from '#api/serve/resource.ts'
import { startXds, type XdsServer } from '#api/serve/server.ts'
import { TrustStore } from '#api/serve/trust.ts'
import { fault, Faults } from '#core/fault/fault.ts'
import { parseSpiffeId } from '#core/identity/spiffe.ts'
import { systemDoors } from '#core/time/system.ts'
import { IstioCertificateRequestSchema, type IstioCertificateResponse } from '#core/wire/gen/istio/v1/auth/ca_pb.ts'
import { defineTypedMethod, istioCa } from '#core/wire/grpc.ts'
import { CLUSTER } from '#core/wire/type-url.ts'
import { certificateService, type JoinGrant } from './certificate-service.ts'
import { makeCsr } from './make-csr.ts'
import { type Authority, makeRoot, readAuthority } from './root.ts'
import { serverCertificate } from './sign.ts'

const nowMs = systemDoors.clock.wallMs()
const uriOf = (namespace: string, serviceAccount: string): string => `spiffe://cluster.local/ns/${namespace}/sa/${serviceAccount}`
const rootOf = (organization: string): Authority => readAuthority(makeRoot({ organization, trustDomain: 'cluster.local', nowMs }))

interface Keys { readonly publicKey: KeyObject; readonly privateKey: KeyObject }
interface Held { readonly keys: Keys; readonly chain: readonly string[] }

interface World {
  readonly server: XdsServer
  readonly trust: TrustStore
  readonly meshes: Map<string, Authority>
  readonly seen: (Peer | string)[]
  /** Signs up by token, by certificate or by both. */
  create(by: { token?: string; held?: Held; uris?: string[]; csr?: string; seconds?: bigint; impersonate?: string }): Promise<Held>
  channel(held?: Held): ChannelCredentials
  client(held?: Held): RawClient
}

const grants: Readonly<Record<string, JoinGrant>> = {
  one: { organizationId: 'o', meshId: 'red', namespace: 'prod', serviceAccount: 'order' },
  any: { organizationId: 'o', meshId: 'red', namespace: '*', serviceAccount: '*' },
  prod: { organizationId: 'o', meshId: 'red', namespace: 'prod', serviceAccount: '*' },
  blue: { organizationId: 'p', meshId: 'blue', namespace: 'prod', serviceAccount: 'order' },
}

/** @param wallMs the clock by which the service judges certificates; TLS has its own */
async function world(t: TestContext, wallMs: () => number = () => systemDoors.clock.wallMs()): Promise<World> {
  const own = readAuthority(makeRoot({ organization: 'control plane', nowMs }))
  const trust = new TrustStore(serverCertificate(own, ['localhost'], nowMs))
  const meshes = new Map([['red', rootOf('red')]])
  for (const [meshId, authority] of meshes) trust.set(meshId, authority.certificate)
  const seen: (Peer | string)[] = []
  const serve: ServeDoors = {
    authenticate({ certificate, bearer }) {
      const expiresAtMs = nowMs + 3_600_000
      if (certificate) return Promise.resolve({ organizationId: 'o', meshId: certificate.meshId, identity: parseSpiffeId(certificate.uri), how: 'certificate', expiresAtMs: certificate.notAfterMs })
      if (bearer === 'one') return Promise.resolve({ organizationId: 'o', meshId: 'red', identity: undefined, how: 'join-token', expiresAtMs })
      return Promise.reject(new Faults([fault('access.unauthenticated', { path: '', rule: 'a token that is known' })]))
    },
    viewFor(peer) {
      seen.push(peer)
      const secret: Resource = { type: CLUSTER, name: `of ${peer.meshId}`, version: '1', bytes: new Uint8Array(), origins: [] }
      return Promise.resolve(new MemoryView([secret]))
    },
    connected() {},
    disconnected() {},
  }
  const service = certificateService({
    clock: { monotonicMs: wallMs, wallMs, after: (delayMs, fire) => systemDoors.clock.after(delayMs, fire), every: (periodMs, fire) => systemDoors.clock.every(periodMs, fire) },
    resolveToken: (secret) => Promise.resolve(grants[secret]),
    authorityOf: (meshId) => Promise.resolve(meshes.has(meshId) ? { authority: meshes.get(meshId) ?? rootOf(''), trustDomain: 'cluster.local' } : undefined),
    signed: ({ meshId, identity, how }) => seen.push(`${how} ${meshId} ${identity}`),
  })
  const server = await startXds({ ...systemDoors, serve }, { tls: { address: '127.0.0.1', port: 0, trust }, services: [service] })
  const address = `127.0.0.1:${server.port}`
  const closers: (() => void)[] = []
  t.after(async () => {
    for (const close of closers) close()
    await server.close(100)
  })
  const channel = (held?: Held): ChannelCredentials =>
    held
      ? credentials.createSsl(Buffer.from(own.certificate), Buffer.from(held.keys.privateKey.export({ type: 'pkcs8', format: 'pem' })), Buffer.from(held.chain.join('')))
      : credentials.createSsl(Buffer.from(own.certificate))
  return {
    server,
    trust,
    meshes,
    seen,
    channel,
    client(held) {
      const client = new RawClient(address, channel(held))
      closers.push(() => client.close())
      return client
    },
    async create({ token, held, uris = [], csr, seconds = 0n, impersonate }) {
      const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const client = new Client(address, channel(held), { 'grpc.use_local_subchannel_pool': 1, 'grpc.ssl_target_name_override': 'localhost' })
      closers.push(() => client.close())
      const { path, requestSerialize, responseDeserialize } = defineTypedMethod(istioCa.createCertificate, (bytes): Buffer => Buffer.from(bytes))
      const metadata = new Metadata()
      if (token !== undefined) metadata.set('authorization', `Bearer ${token}`)
      const request = create(IstioCertificateRequestSchema, {
        csr: csr ?? makeCsr(keys, uris),
        validityDuration: seconds,
        ...(impersonate === undefined ? {} : { metadata: { ImpersonatedIdentity: impersonate } }),
      })
      const response = await new Promise<IstioCertificateResponse>((resolve, reject) => {
        client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, (error, answer) => (answer ? resolve(answer) : reject(error)))
      })
      return { keys, chain: response.certChain }
    },
  }
}

const leafOf = (held: Held): X509Certificate => new X509Certificate(held.chain[0] ?? '')
const withCode = (code: status) => (raised: ServiceError): boolean => raised.code === code
const nodeIn = (namespace: string): ReturnType<typeof nodeNamed> => nodeNamed(`sidecar~127.0.0.1~a.${namespace}~${namespace}.svc.cluster.local`, { NAMESPACE: namespace })

test('a token is exchanged for the certificate of the identity that it is bound to', async (t) => {
  const { create, meshes } = await world(t)
  const held = await create({ token: 'one', seconds: 3600n })
  const leaf = leafOf(held)
  assert.equal(leaf.subjectAltName, `URI:${uriOf('prod', 'order')}`)
  assert.deepEqual(leaf.publicKey.export({ type: 'spki', format: 'der' }), held.keys.publicKey.export({ type: 'spki', format: 'der' }))
  assert.equal(held.chain[1], meshes.get('red')?.certificate)
  const lifetimeMs = Date.parse(leaf.validTo) - Date.parse(leaf.validFrom)
  assert.ok(lifetimeMs <= 3_661_000, `${lifetimeMs}`)
})

test('a wrong token, and none, are UNAUTHENTICATED', async (t) => {
  const { create } = await world(t)
  await assert.rejects(create({ token: 'wrong' }), withCode(status.UNAUTHENTICATED))
  await assert.rejects(create({}), withCode(status.UNAUTHENTICATED))
})

test('a SPIFFE ID that the token does not allow is PERMISSION_DENIED, in the CSR and in the metadata', async (t) => {
  const { create } = await world(t)
  const denied = withCode(status.PERMISSION_DENIED)
  await assert.rejects(create({ token: 'one', uris: [uriOf('prod', 'other')] }), denied)
  await assert.rejects(create({ token: 'one', impersonate: uriOf('prod', 'other') }), denied)
  await assert.rejects(create({ token: 'prod', uris: [uriOf('other', 'order')] }), denied)
  await assert.rejects(create({ token: 'any', uris: ['spiffe://elsewhere/ns/prod/sa/order'] }), denied)
  await assert.rejects(create({ token: 'any', uris: [uriOf('a', 'b'), uriOf('c', 'd')] }), denied)
  await assert.rejects(create({ token: 'any', uris: ['https://example.com'] }), denied)
})

test('a token for any identity gives the one that the CSR names, and needs one', async (t) => {
  const { create } = await world(t)
  assert.equal(leafOf(await create({ token: 'any', uris: [uriOf('x', 'y')] })).subjectAltName, `URI:${uriOf('x', 'y')}`)
  assert.equal(leafOf(await create({ token: 'prod', uris: [uriOf('prod', 'y')] })).subjectAltName, `URI:${uriOf('prod', 'y')}`)
  await assert.rejects(create({ token: 'any' }), withCode(status.INVALID_ARGUMENT))
})

test('a forged CSR is INVALID_ARGUMENT', async (t) => {
  const { create } = await world(t)
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const csr = makeCsr(keys, [], generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
  await assert.rejects(create({ token: 'one', csr }), withCode(status.INVALID_ARGUMENT))
})

test('a certificate renews itself, with a new key, and nothing else', async (t) => {
  const { create, seen } = await world(t)
  const first = await create({ token: 'one' })
  const renewed = await create({ held: first })
  assert.equal(leafOf(renewed).subjectAltName, leafOf(first).subjectAltName)
  assert.notDeepEqual(leafOf(renewed).serialNumber, leafOf(first).serialNumber)
  // The token it joined with has expired meanwhile.
  await create({ held: renewed, token: 'expired' })
  await assert.rejects(create({ held: renewed, uris: [uriOf('prod', 'other')] }), withCode(status.PERMISSION_DENIED))
  assert.deepEqual(seen, [`token red ${uriOf('prod', 'order')}`, `certificate red ${uriOf('prod', 'order')}`, `certificate red ${uriOf('prod', 'order')}`])
})

test('a certificate that has expired renews nothing, on a connection that began while it was good', async (t) => {
  let passedMs = 0
  const { create } = await world(t, () => systemDoors.clock.wallMs() + passedMs)
  const first = await create({ token: 'one', seconds: 3600n })
  await create({ held: first })
  passedMs = 2 * 3_600_000
  await assert.rejects(create({ held: first }), (raised: ServiceError) => withCode(status.UNAUTHENTICATED)(raised) && /has expired: join again/.test(raised.details))
  await assert.rejects(create({ held: first, token: 'expired' }), withCode(status.UNAUTHENTICATED))
  // A token that still holds lets it join again.
  await create({ held: first, token: 'one' })
})

test('two meshes of one trust domain are told apart by who signed, and a mesh made while the server runs is trusted at once', async (t) => {
  const { create, client, trust, meshes } = await world(t)
  const red = await create({ token: 'one' })
  const blue = rootOf('blue')
  meshes.set('blue', blue)
  trust.set('blue', blue.certificate)
  const inBlue = await create({ token: 'blue' })
  assert.equal(leafOf(red).subjectAltName, leafOf(inBlue).subjectAltName)
  for (const [held, meshId] of [[red, 'red'], [inBlue, 'blue']] as const) {
    const stream = client(held).delta()
    stream.ask({ node: nodeIn('prod'), type: CLUSTER })
    assert.deepEqual((await stream.next()).resources.map((one) => one.name), [`of ${meshId}`])
  }
  // A certificate renews in its own mesh: the identity alone does not lead to the other.
  assert.equal((await create({ held: inBlue })).chain[1], blue.certificate)
})

test('a root with the name of another mesh, but its own key, is nobody', async (t) => {
  const { create, client, seen } = await world(t)
  await create({ token: 'one' })
  const stranger = rootOf('red')
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { readCsr } = await import('./csr.ts')
  const { signWorkload } = await import('./sign.ts')
  const identity = { trustDomain: 'cluster.local', namespace: 'prod', serviceAccount: 'order' }
  const { chain } = signWorkload(stranger, { request: readCsr(makeCsr(keys, [])), identity, nowMs })
  const before = seen.length
  const stream = client({ keys, chain }).delta()
  stream.ask({ node: nodeIn('prod'), type: CLUSTER })
  assert.equal((await stream.status()).code, status.UNAUTHENTICATED)
  await assert.rejects(create({ held: { keys, chain } }), withCode(status.UNAUTHENTICATED))
  assert.equal(seen.length, before)
})

test('discovery over TLS: the certificate decides, a token may stand for it, and nothing is refused', async (t) => {
  const { create, client } = await world(t)
  const held = await create({ token: 'one' })
  const other = client(held).delta()
  other.ask({ node: nodeIn('elsewhere'), type: CLUSTER })
  assert.equal((await other.status()).code, status.PERMISSION_DENIED)
  const joining = client().delta({ bearer: 'one' })
  joining.ask({ node: nodeIn('prod'), type: CLUSTER })
  assert.equal((await joining.next()).resources.length, 1)
  for (const options of [{}, { bearer: 'wrong' }]) {
    const stream = client().delta(options)
    stream.ask({ node: nodeIn('prod'), type: CLUSTER })
    assert.equal((await stream.status()).code, status.UNAUTHENTICATED)
  }
})

test('the server certificate is renewed without a restart', async (t) => {
  const { client, trust } = await world(t)
  const stream = client().delta({ bearer: 'one' })
  stream.ask({ node: nodeIn('prod'), type: CLUSTER })
  await stream.next()
  const other = readAuthority(makeRoot({ organization: 'another control plane', nowMs }))
  trust.renew(serverCertificate(other, ['localhost'], nowMs))
  // New connections meet the new certificate, which this client's root does not verify; the stream that stands goes on.
  const late = client().delta({ bearer: 'one' })
  late.ask({ node: nodeIn('prod'), type: CLUSTER })
  assert.equal((await late.status()).code, status.UNAVAILABLE)
  stream.ask({ type: CLUSTER, subscribe: ['of red'] })
  stream.ack(stream.received[0] ?? assert.fail())
  assert.equal((await stream.next()).resources.length, 1)
})
