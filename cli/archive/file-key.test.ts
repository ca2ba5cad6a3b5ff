import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { identityOf, newFileKey, openFileKey, readArchiveHeader, recipientOf, WrongArchiveKey } from './file-key.ts'

const pair = () => {
  const { publicKey, privateKey } = generateKeyPairSync('x25519')
  return { public: publicKey.export({ type: 'spki', format: 'pem' }).toString(), private: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
}

test('a passphrase opens what it closed, and no other does', () => {
  const { header, fileKey } = newFileKey({ kind: 'passphrase', passphrase: 'correct horse' })
  assert.deepEqual(openFileKey(header, { kind: 'passphrase', passphrase: 'correct horse' }), fileKey)
  assert.throws(() => openFileKey(header, { kind: 'passphrase', passphrase: 'Correct horse' }), (error) => error instanceof WrongArchiveKey && /the passphrase does not open this archive/.test(error.message))
  assert.throws(() => openFileKey(header, { kind: 'identity', key: identityOf(pair().private) }), /sealed with a passphrase/)
  assert.ok(!JSON.stringify(header).includes(fileKey.toString('base64')))
})

test('what is sealed to a recipient is opened by its private key alone', () => {
  const [own, other] = [pair(), pair()]
  const { header, fileKey } = newFileKey({ kind: 'recipient', key: recipientOf(own.public) })
  assert.deepEqual(openFileKey(header, { kind: 'identity', key: identityOf(own.private) }), fileKey)
  assert.throws(() => openFileKey(header, { kind: 'identity', key: identityOf(other.private) }), /another recipient/)
  assert.throws(() => openFileKey(header, { kind: 'passphrase', passphrase: 'x' }), /--identity/)
  const { publicKey } = generateKeyPairSync('ed25519')
  assert.throws(() => recipientOf(publicKey.export({ type: 'spki', format: 'pem' }).toString()), /X25519 key is wanted/)
})

test('what is no archive says so', () => {
  assert.throws(() => readArchiveHeader(Buffer.from('apiVersion: v1')), /no whole archive/)
})
