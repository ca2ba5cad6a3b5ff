import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { createCsr, generateKey } from './csr.ts'
import { objectIdentifier, octetString } from './der.ts'

test('openssl verifies a certificate request and reads the SPIFFE ID in it', () => {
  const csr = createCsr(generateKey(), 'spiffe://cluster.local/ns/prod/sa/order-service')
  const words = execFileSync('openssl', ['req', '-noout', '-verify', '-text'], { input: csr, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] })
  assert.match(words, /URI:spiffe:\/\/cluster\.local\/ns\/prod\/sa\/order-service/)
  assert.match(words, /Subject Alternative Name: critical/)
  assert.match(words, /ASN1 OID: prime256v1/)
  assert.match(words, /Signature Algorithm: ecdsa-with-SHA256/)
})

test('lengths from 128 on take the long form, with as few octets as will do', () => {
  const head = (length: number): string => octetString(Buffer.alloc(length)).subarray(0, -length).toString('hex')
  assert.deepEqual([127, 128, 255, 256, 65_535, 65_536].map(head), ['047f', '048180', '0481ff', '04820100', '0482ffff', '0483010000'])
})

test('an object identifier is written in base 128', () => {
  assert.equal(objectIdentifier('1.2.840.10045.4.3.2').toString('hex'), '06082a8648ce3d040302')
})
