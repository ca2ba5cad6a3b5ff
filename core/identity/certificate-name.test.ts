import assert from 'node:assert/strict'
import test from 'node:test'
import { certifiesHost } from './certificate-name.ts'

test('a certificate is for the host that it names, in small letters or capitals', () => {
  assert.ok(certifiesHost('A.example.com', 'a.Example.com'))
  assert.ok(!certifiesHost('a.example.com', 'b.example.com'))
})

test('a star stands for one label, and for the first', () => {
  assert.ok(certifiesHost('*.example.com', 'a.example.com'))
  for (const [certified, host] of [['*.example.com', 'a.b.example.com'], ['*.example.com', 'example.com'], ['*.example.com', '.example.com'], ['a.*.com', 'a.example.com'], ['*', 'example'], ['*.', 'a.']] as const) {
    assert.ok(!certifiesHost(certified, host), `${certified} for ${host}`)
  }
})
