import assert from 'node:assert/strict'
import { test } from 'node:test'
import { portProtocol } from './mesh-service.ts'

test('a port says what it speaks, by appProtocol before its name', () => {
  assert.equal(portProtocol('http-web', undefined, 'TCP', 80), 'http')
  assert.equal(portProtocol('http', 'mysql', 'TCP', 80), 'tcp')
  assert.equal(portProtocol('grpc-web', undefined, 'TCP', 80), 'grpc-web')
  assert.equal(portProtocol('anything', undefined, 'UDP', 53), 'udp')
  assert.equal(portProtocol('main', undefined, 'TCP', 8080), 'auto')
})

test('where nothing says so, a port whose servers speak first is not sniffed', () => {
  for (const port of [25, 53, 3306, 27017]) assert.equal(portProtocol('main', undefined, 'TCP', port), 'tcp')
  assert.equal(portProtocol('http', undefined, 'TCP', 3306), 'http')
})
