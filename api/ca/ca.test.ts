import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Faults } from '#core/fault/fault.ts'
import { readCsr } from './csr.ts'
import { sequence, toPem } from './der.ts'
import { makeCsr } from './make-csr.ts'
import { makeRoot, openRoot, readAuthority, sealRoot } from './root.ts'
import { serverCertificate, signWorkload } from './sign.ts'

const nowMs = Date.UTC(2026, 0, 1)
const identity = { trustDomain: 'cluster.local', namespace: 'prod', serviceAccount: 'order-service' }

const p256 = (): { publicKey: KeyObject; privateKey: KeyObject } => generateKeyPairSync('ec', { namedCurve: 'P-256' })

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'weft-ca-'))
  t.after(() => rmSync(path, { recursive: true }))
  return path
}

const isCsrFault = (raised: unknown): boolean => raised instanceof Faults && raised.faults[0]?.code === 'identity.csr'

test('openssl makes a request, and verifies the certificate that comes of it', (t) => {
  const at = folder(t)
  const openssl = (...args: string[]): string => execFileSync('openssl', args, { cwd: at, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  openssl('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem', '-subj', '/O=x', '-addext', 'subjectAltName=URI:spiffe://cluster.local/ns/prod/sa/order-service', '-out', 'csr.pem')
  const csr = openssl('req', '-in', 'csr.pem')
  const authority = readAuthority(makeRoot({ organization: 'cluster.local', trustDomain: 'cluster.local', nowMs }))
  const request = readCsr(csr)
  assert.deepEqual(request.uris, ['spiffe://cluster.local/ns/prod/sa/order-service'])
  const { chain } = signWorkload(authority, { request, identity, nowMs })
  writeFileSync(join(at, 'leaf.pem'), chain[0] ?? '')
  writeFileSync(join(at, 'root.pem'), authority.certificate)
  const attime = String(nowMs / 1000 + 60)
  for (const purpose of ['sslclient', 'sslserver']) {
    assert.match(openssl('verify', '-x509_strict', '-attime', attime, '-purpose', purpose, '-CAfile', 'root.pem', 'leaf.pem'), /leaf\.pem: OK/)
  }
  const text = openssl('x509', '-in', 'leaf.pem', '-noout', '-text')
  assert.match(text, /X509v3 Subject Alternative Name: critical\s+URI:spiffe:\/\/cluster\.local\/ns\/prod\/sa\/order-service/)
  assert.match(text, /TLS Web Server Authentication, TLS Web Client Authentication/)
  assert.match(text, /Not Before: Dec 31 23:59:00 2025 GMT/)
  assert.match(text, /Not After : Jan {2}2 00:00:00 2026 GMT/)
})

test('a leaf lives a day at most, and never longer than its issuer', () => {
  const authority = readAuthority(makeRoot({ organization: 'o', nowMs }))
  const request = readCsr(makeCsr(p256(), []))
  const long = signWorkload(authority, { request, identity, nowMs, lifetimeMs: 365 * 86_400_000 })
  assert.equal(long.notAfterMs, nowMs + 86_400_000)
  assert.equal(signWorkload(authority, { request, identity, nowMs, lifetimeMs: 3_600_000 }).notAfterMs, nowMs + 3_600_000)
  const lateMs = authority.notAfterMs - 1_800_000
  const { chain, notAfterMs } = signWorkload(authority, { request, identity, nowMs: lateMs })
  assert.equal(notAfterMs, authority.notAfterMs)
  assert.equal(Date.parse(new X509Certificate(chain[0] ?? '').validTo), authority.notAfterMs)
})

test('a request whose signature is not by its own key is refused', () => {
  assert.throws(() => readCsr(makeCsr(p256(), [], p256().privateKey)), isCsrFault)
})

test('a request with another curve, another kind of key, or no DER at all is refused', () => {
  assert.throws(() => readCsr(makeCsr(generateKeyPairSync('ec', { namedCurve: 'P-384' }), [])), isCsrFault)
  assert.throws(() => readCsr(makeCsr(generateKeyPairSync('ed25519'), [], p256().privateKey)), isCsrFault)
  assert.throws(() => readCsr(toPem('CERTIFICATE REQUEST', Buffer.from('no request'))), isCsrFault)
  assert.throws(() => readCsr('no PEM'), isCsrFault)
  assert.throws(() => readCsr(toPem('CERTIFICATE REQUEST', sequence())), isCsrFault)
})

test('no cut or flipped byte of a request passes, and none throws anything but its fault', () => {
  const good = Buffer.from(makeCsr(p256(), ['spiffe://cluster.local/ns/a/sa/b']).replace(/-----[^-]+-----|\s/g, ''), 'base64')
  for (let at = 0; at < good.length; at += 1) {
    const flipped = Buffer.from(good)
    flipped[at] = (flipped[at] ?? 0) ^ 1
    for (const bytes of [flipped, good.subarray(0, at)]) {
      assert.throws(() => readCsr(toPem('CERTIFICATE REQUEST', bytes)), isCsrFault)
    }
  }
})

test('a sealed root opens with its key beside its certificate, and otherwise not', () => {
  const key = randomBytes(32)
  const root = makeRoot({ organization: 'o', trustDomain: 'cluster.local', nowMs })
  const sealed = sealRoot(root, key)
  assert.equal(Buffer.from(sealed).includes('PRIVATE KEY'), false)
  const authority = openRoot(root.certificate, sealed, key)
  assert.equal(authority.certificate, root.certificate)
  assert.throws(() => openRoot(root.certificate, sealed, randomBytes(32)))
  assert.throws(() => openRoot(makeRoot({ organization: 'o', nowMs }).certificate, sealed, key))
  const bent = Uint8Array.from(sealed)
  bent[20] = (bent[20] ?? 0) ^ 1
  assert.throws(() => openRoot(root.certificate, bent, key))
})

test('a server certificate is good for each of its names', () => {
  const authority = readAuthority(makeRoot({ organization: 'weft', nowMs }))
  const { certificate } = serverCertificate(authority, ['weft.example', '127.0.0.1', '::1', 'fd00::12:3'], nowMs)
  const leaf = new X509Certificate(certificate)
  assert.ok(leaf.verify(createPublicKey(authority.certificate)))
  assert.equal(leaf.checkHost('weft.example'), 'weft.example')
  for (const address of ['127.0.0.1', '::1', 'fd00::12:3']) assert.equal(leaf.checkIP(address), address)
  assert.equal(leaf.checkIP('127.0.0.2'), undefined)
})
