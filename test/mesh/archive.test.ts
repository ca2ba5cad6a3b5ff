import assert from 'node:assert/strict'
import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { sealStream } from '#api/archive/sealed-stream.ts'
import { writePayload } from '#api/archive/payload.ts'
import { issue, keyIdentifierOf, nameOf } from '#api/ca/certificate.ts'
import { oid } from '#api/ca/der.ts'
import { makeRoot } from '#api/ca/root.ts'
import { nodeNamed, RawClient } from '#api/serve/raw-client.ts'
import { ARCHIVE_CHUNK_BYTES, type ArchiveHeader, type RestoreResponse } from '#core/contract/archive.ts'
import { CLUSTER } from '#core/wire/type-url.ts'
import type { Role } from '#db/store.ts'
import { certified, clientOf, type Held } from '../parts/certified.ts'
import { type PlaneUnderTest, startPlane } from '../parts/control-plane.ts'
import { runCommand, type Ran } from './shop.ts'

const contents = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort()
    .map((file) => `${path.relative(folder, file)}\n${readFileSync(file, 'utf8')}`)

describe('a sealed archive', () => {
  let old: PlaneUnderTest
  let fresh: PlaneUnderTest
  const keys: Record<string, string> = {}
  const folder = mkdtempSync(path.join(tmpdir(), 'weft-archive-'))
  const file = path.join(folder, 'shop.weft')
  const { certificate, privateKey } = makeRoot({ organization: 'edge', nowMs: Date.now() })
  let held: Held

  const weft = (world: PlaneUnderTest, args: readonly string[], options: { role?: Role; mesh?: string; passphrase?: string } = {}): Promise<Ran> =>
    runCommand(process.execPath, ['--disable-warning=ExperimentalWarning', 'cli/main.ts', ...args], {
      env: { WEFT_SERVER: `http://127.0.0.1:${world.plane.rest.port}`, WEFT_API_KEY: keys[`${world === old ? 'old' : 'fresh'} ${options.role ?? 'owner'}`] ?? '', WEFT_MESH: `demo/${options.mesh ?? 'shop'}`, WEFT_PASSPHRASE: options.passphrase ?? 'correct horse battery' },
    })
  const well = async (...args: Parameters<typeof weft>): Promise<string> => {
    const ran = await weft(...args)
    assert.equal(ran.code, 0, `${args[1].join(' ')}: ${ran.stderr}${ran.stdout}`)
    return ran.stdout
  }

  before(async () => {
    old = await startPlane()
    fresh = await startPlane({ sealKey: Buffer.alloc(32, 9) })
    for (const [name, world] of [['old', old], ['fresh', fresh]] as const) {
      const organization = await world.plane.ensureOrganization('demo')
      for (const role of ['owner', 'editor', 'viewer'] as const) keys[`${name} ${role}`] = await world.plane.createApiKey(organization, role, role)
    }
    await old.apply(
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'prod' } },
      { apiVersion: 'v1', kind: 'Service', metadata: { name: 'order', namespace: 'prod' }, spec: { selector: { app: 'order' }, ports: [{ name: 'http', port: 80 }] } },
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'edge-cert', namespace: 'prod' }, type: 'kubernetes.io/tls', stringData: { 'tls.crt': certificate, 'tls.key': privateKey } },
    )
    const applied = await fetch(`http://127.0.0.1:${old.plane.rest.port}/k8s/demo/shop/apis/networking.istio.io/v1/namespaces/prod/virtualservices/order?fieldManager=gitops`, {
      method: 'PATCH',
      headers: { authorization: `Bearer ${keys['old owner']}`, 'content-type': 'application/apply-patch+yaml' },
      body: JSON.stringify({ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'order' }, spec: { hosts: ['order'], http: [{ route: [{ destination: { host: 'order' } }] }] } }),
    })
    assert.equal(applied.status, 201, await applied.text())
    held = await certified(old, { token: (await old.proxy('prod', 'order')).bearer })
  })
  after(async () => {
    await old.close()
    await fresh.close()
    rmSync(folder, { recursive: true, force: true })
  })

  test('is for owners alone, holds nothing in the clear, and its making is filed', async () => {
    for (const role of ['editor', 'viewer'] as const) {
      const refused = await weft(old, ['export', '--sealed', file], { role })
      assert.equal(refused.code, 3, refused.stderr)
    }
    assert.throws(() => statSync(file))
    await well(old, ['export', '--sealed', file])
    assert.equal(statSync(file).mode & 0o077, 0)
    const bytes = readFileSync(file)
    const rootKey = (await old.rest('/root.pem').then((one) => one.text())).split('\n')[1] ?? ''
    for (const canary of [privateKey.split('\n')[1] ?? '', Buffer.from(privateKey).toString('base64').slice(60, 84), 'PRIVATE KEY', rootKey, 'virtualservice', 'edge-cert']) assert.ok(canary !== '' && !bytes.includes(canary))
    const audit = await (await fetch(`http://127.0.0.1:${old.plane.rest.port}/api/v1/organizations/demo/audit`, { headers: { authorization: `Bearer ${keys['old owner']}` } })).text()
    assert.deepEqual(
      (JSON.parse(audit) as { items: { actor: string; path: string; status: number }[] }).items.filter((one) => one.path.endsWith('/archive')).map(({ actor, status }) => `${actor} ${status}`),
      ['owner 200', 'viewer 403', 'editor 403'],
    )
    assert.ok(!old.logs.join('\n').includes('PRIVATE KEY'))
    assert.equal((await weft(old, ['export', '--sealed', file])).code, 2, 'and is not written over')
  })

  test('is refused with another passphrase, when a byte changed, when it is cut short, and where the mesh is not empty', async () => {
    const wrong = await weft(fresh, ['import', file], { passphrase: 'incorrect' })
    assert.deepEqual([wrong.code, wrong.stdout], [3, ''])
    assert.match(wrong.stderr, /the passphrase does not open this archive/)
    const bytes = readFileSync(file)
    const changed = path.join(folder, 'changed.weft')
    const flipped = Buffer.from(bytes)
    flipped[bytes.length - 40] = (flipped[bytes.length - 40] ?? 0) ^ 1
    for (const damaged of [flipped, bytes.subarray(0, -1)]) {
      writeFileSync(changed, damaged)
      const refused = await weft(fresh, ['import', changed])
      assert.equal(refused.code, 1, refused.stderr)
      assert.match(refused.stderr, /whole and unchanged/)
    }
    const taken = await weft(old, ['import', file])
    assert.equal(taken.code, 5, taken.stderr)
    assert.match(taken.stderr, /neither objects nor workloads/)
    assert.equal((await weft(fresh, ['import', file], { role: 'editor' })).code, 3)
    assert.deepEqual(JSON.parse(await well(fresh, ['get', 'vs', '-A', '-o', 'json'])).items ?? [], [])
  })

  test('makes an empty mesh elsewhere what it was of: configuration, Secrets, field managers, root', async () => {
    const restored = JSON.parse(await well(fresh, ['import', file, '-o', 'json'])) as RestoreResponse
    assert.deepEqual([restored.root, restored.objects, restored.secrets, restored.from.mesh], ['archived', 4, 1, 'shop'])
    const folders = [path.join(folder, 'a'), path.join(folder, 'b')] as const
    await well(old, ['export', folders[0]])
    await well(fresh, ['export', folders[1]])
    assert.deepEqual(contents(folders[0]), contents(folders[1]))
    assert.equal(contents(folders[0]).length, 3)
    assert.equal((await weft(fresh, ['diff', '-f', folders[0]])).code, 0)
    const read = async (world: PlaneUnderTest) => JSON.parse(await well(world, ['get', 'vs', 'order', '-n', 'prod', '-o', 'json'])) as { metadata: { creationTimestamp: string; managedFields: { manager: string }[] } }
    const [before, now] = [await read(old), await read(fresh)]
    assert.deepEqual(now.metadata.managedFields, before.metadata.managedFields)
    assert.equal(now.metadata.managedFields[0]?.manager, 'gitops')
    assert.equal(now.metadata.creationTimestamp, before.metadata.creationTimestamp, 'age decides between objects that claim the same')
    assert.equal(await (await fresh.rest('/root.pem')).text(), await (await old.rest('/root.pem')).text())
    const again = path.join(folder, 'again.weft')
    await well(fresh, ['export', '--sealed', again])
    assert.ok(statSync(again).size > 1000)
  })

  test('proxies of the old mesh are known to the new one, trust its certificates, and get its configuration', async () => {
    const client = new RawClient(`127.0.0.1:${fresh.plane.xds.port}`, clientOf(fresh, held))
    try {
      const stream = client.delta()
      stream.ask({ node: nodeNamed('sidecar~127.0.0.1~order-1.prod~prod.svc.cluster.local', { NAMESPACE: 'prod' }), type: CLUSTER })
      assert.ok((await stream.take()).resources.some((one) => one.name === 'outbound|80||order.prod.svc.cluster.local'))
    } finally {
      client.close()
    }
    const renewed = await certified(fresh, { held })
    const trusted = new X509Certificate(held.chain.at(-1) ?? '')
    assert.ok(new X509Certificate(renewed.chain[0] ?? '').verify(trusted.publicKey), 'what the new mesh signs is of the root that the old one gave')
  })

  test('beside its own mesh it becomes one with another root, so that nobody is taken for a member of both', async () => {
    const restored = JSON.parse(await well(old, ['import', file, '-o', 'json'], { mesh: 'copy' })) as RestoreResponse
    assert.equal(restored.root, 'own')
    const copied = path.join(folder, 'copied')
    await well(old, ['export', copied], { mesh: 'copy' })
    assert.deepEqual(contents(path.join(folder, 'a')), contents(copied))
  })

  test('brings no root of somebody else in, nor one by which TLS would look for somebody else’s', async () => {
    const [theirs] = [...(await old.rest('/root.pem').then((one) => one.text())).matchAll(/-----BEGIN[^]+?END CERTIFICATE-----\n/g)].map(([pem]) => pem)
    assert.ok(theirs !== undefined)
    const own = makeRoot({ organization: 'cluster.local', trustDomain: 'cluster.local', nowMs: Date.now() })
    const restore = async (name: string, root: { certificate: string; privateKey: string }) => {
      const key = randomBytes(32)
      const header: ArchiveHeader = { chunkBytes: ARCHIVE_CHUNK_BYTES, keys: [{ kind: 'passphrase', n: 2 ** 14, r: 8, p: 1, salt: 'AAAA', wrapped: 'AAAA' }] }
      const mesh = { name: 'evil', trustDomain: 'cluster.local', settings: {}, rootCertificate: root.certificate, rootKey: root.privateKey, revision: 1, exportedAt: '' }
      const archive = Buffer.concat(await Array.fromAsync(sealStream(key, header, writePayload({ mesh, objects: [] }))))
      const answer = await fetch(`http://127.0.0.1:${old.plane.rest.port}/api/v1/organizations/demo/archives`, { method: 'POST', headers: { authorization: `Bearer ${keys['old owner']}`, 'content-type': 'application/json' }, body: JSON.stringify({ mesh: name, archive: archive.toString('base64'), key: key.toString('base64') }) })
      return { status: answer.status, text: await answer.text() }
    }
    for (const certificate of [`${own.certificate}${theirs}`, `${theirs}${own.certificate}`, theirs.replace('\n', '\n\n'), `${own.certificate}#`]) {
      const { status, text } = await restore('evil', { ...own, certificate })
      assert.ok(status === 422 || /"root":"own"/.test(text), `${status} ${text}`)
    }
    // The other's name, and a key of one's own.
    const [, common = ''] = /CN=(.*)/.exec(new X509Certificate(theirs).subject) ?? []
    for (const [index, name] of [common, common.toUpperCase()].entries()) {
      const { publicKey, privateKey: signing } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const spki = publicKey.export({ type: 'spki', format: 'der' })
      const subject = [{ oid: oid.organizationName, value: 'cluster.local' }, { oid: oid.commonName, value: name }]
      const certificate = issue({ subject, publicKey: spki, names: [{ kind: 'uri', value: 'spiffe://cluster.local' }], notBeforeMs: Date.now() - 1000, notAfterMs: Date.now() + 1e9, authority: true }, { subject: nameOf(subject), privateKey: signing, keyIdentifier: keyIdentifierOf(new X509Certificate(theirs).publicKey.export({ type: 'spki', format: 'der' })) })
      const { status, text } = await restore(`evil-${index}`, { certificate, privateKey: signing.export({ type: 'pkcs8', format: 'pem' }).toString() })
      assert.ok(status === 422 || /"root":"own"/.test(text), `${status} ${text}`)
    }
    const client = new RawClient(`127.0.0.1:${old.plane.xds.port}`, clientOf(old, held))
    try {
      const stream = client.delta()
      stream.ask({ node: nodeNamed('sidecar~127.0.0.1~order-1.prod~prod.svc.cluster.local', { NAMESPACE: 'prod' }), type: CLUSTER })
      assert.ok((await stream.take()).resources.some((one) => one.name === 'outbound|80||order.prod.svc.cluster.local'), 'and who was known is')
    } finally {
      client.close()
    }
  })

  test('is sealed to a recipient, and opened by the private key', async () => {
    const pair = generateKeyPairSync('x25519')
    const publicFile = path.join(folder, 'public.pem')
    const privateFile = path.join(folder, 'private.pem')
    writeFileSync(publicFile, pair.publicKey.export({ type: 'spki', format: 'pem' }))
    writeFileSync(privateFile, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }))
    const sealed = path.join(folder, 'recipient.weft')
    await well(old, ['export', '--sealed', sealed, '--recipient', publicFile])
    assert.equal((await weft(old, ['import', sealed], { mesh: 'other' })).code, 3)
    assert.match(await well(old, ['import', sealed, '--identity', privateFile], { mesh: 'other' }), /^other is shop as of revision \d+/)
  })
})
