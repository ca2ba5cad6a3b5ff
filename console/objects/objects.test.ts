import assert from 'node:assert/strict'
import { test } from 'node:test'
import { objectName } from '#core/resource/object.ts'
import { shopObjects, shopTopology } from '../testing/shop.ts'
import { chooseObjects, countBy } from './catalogue.ts'
import { historyQuery } from './history.ts'
import { diffLines } from './line-diff.ts'
import { relatedObjects } from './related.ts'
import { yamlTokens } from './yaml-tokens.ts'

const nodeNamed = (name: string) => {
  const found = shopTopology(0).nodes.find((node) => node.name === name)
  if (found === undefined) throw new Error(name)
  return found
}

test('objects of a service are those that name its host, in full or short within its namespace', () => {
  assert.deepEqual(relatedObjects(nodeNamed('order-service'), shopObjects()).map(objectName), ['VirtualService/prod/order-service', 'DestinationRule/prod/order-service', 'Service/prod/order-service'])
  const elsewhere = { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'x', namespace: 'other' }, spec: { hosts: ['order-service'] } }
  assert.deepEqual(relatedObjects(nodeNamed('order-service'), [elsewhere]), [])
})

test('the same word in a label is not a host', () => {
  const labelled = { apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy', metadata: { name: 'x', namespace: 'prod' }, spec: { selector: { matchLabels: { app: 'order-service' } } } }
  assert.deepEqual(relatedObjects(nodeNamed('order-service'), [labelled]), [])
})

test('all words must be found, in name, kind or labels', () => {
  const names = (text: string) => chooseObjects(shopObjects(), { kind: '', namespace: '', text }).map(objectName)
  assert.deepEqual(names('virtual PAY'), ['VirtualService/prod/payment-service'])
  assert.deepEqual(names('app=inventory'), ['Service/prod/inventory'])
  assert.deepEqual(countBy(shopObjects(), (object) => object.metadata.namespace ?? ''), [['istio-ingress', 2], ['prod', 10]])
})

test('YAML is coloured without losing a character', () => {
  const lines = ['spec:', '  - name: canary # why', '    weight: 90', '    "quoted: key": "text: x"', '  url: http://a:80/b', '- - a', '    x-canary: true', '']
  for (const line of lines) assert.equal(yamlTokens(line).map((token) => token.text).join(''), line)
  const kinds = (line: string) => yamlTokens(line).filter((token) => token.text.trim() !== '').map((token) => `${token.kind} ${token.text.trim()}`)
  assert.deepEqual(kinds('  - weight: 90'), ['mark -', 'key weight', 'mark :', 'number 90'])
  assert.deepEqual(kinds('  url: http://a:80/b'), ['key url', 'mark :', 'plain http://a:80/b'])
})

test('a difference names the lines that went and came', () => {
  const text = diffLines(['a', 'b', 'c', 'd'], ['a', 'x', 'c', 'e', 'd']).map((line) => `${line.side[0]}${line.text}`)
  assert.deepEqual(text, ['ba', 'rb', 'ax', 'bc', 'ae', 'bd'])
  assert.deepEqual(diffLines([], ['a']), [{ side: 'added', text: 'a' }])
})

test('the history of an object is asked for by its full name', () => {
  const [object] = shopObjects()
  assert.ok(object !== undefined)
  assert.equal(historyQuery(object), 'group=networking.istio.io&kind=VirtualService&namespace=prod&name=order-service&limit=50')
  assert.equal(historyQuery({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'prod' } }), 'group=&kind=Namespace&namespace=&name=prod&limit=50')
})
