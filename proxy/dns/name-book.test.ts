import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NamedHost } from '#core/plan/names.ts'
import { NameBook } from './name-book.ts'

const service = (shortName: string, namespace: string, ...addresses: string[]): NamedHost => ({ host: `${shortName}.${namespace}.svc.cluster.local`, addresses, shortName, namespace })
const outside = (host: string, ...addresses: string[]): NamedHost => ({ host, addresses, shortName: '', namespace: 'prod' })
const plan = (...hosts: NamedHost[]) => ({ name: '', version: '1', hosts })

function bookOf(...hosts: NamedHost[]): NameBook {
  const book = new NameBook('prod', ['prod.svc.cluster.local', 'svc.cluster.local', 'cluster.local'])
  for (const one of hosts) book.put(one.host, plan(one))
  return book
}

test('a service is found by each name that Kubernetes has for it, and by its short one in its own namespace alone', () => {
  const book = bookOf(service('cart', 'prod', '10.96.0.7'), service('stock', 'other', '10.96.0.8'))
  for (const name of ['cart', 'cart.prod', 'cart.prod.svc', 'cart.prod.svc.cluster.local']) assert.deepEqual(book.find(name), { host: name, addresses: ['10.96.0.7'] })
  for (const name of ['stock.other', 'stock.other.svc', 'stock.other.svc.cluster.local']) assert.deepEqual(book.find(name)?.addresses, ['10.96.0.8'])
  for (const name of ['stock', 'cart.other', 'nobody.prod', 'svc.cluster.local', 'local']) assert.equal(book.find(name), undefined)
})

test('a name with a search domain behind it is the name', () => {
  const book = bookOf(service('stock', 'other', '10.96.0.8'), outside('db.example.com', '240.240.0.9'))
  assert.deepEqual(book.find('db.example.com.prod.svc.cluster.local'), { host: 'db.example.com', addresses: ['240.240.0.9'] })
  assert.deepEqual(book.find('stock.other.svc.svc.cluster.local'), { host: 'stock.other.svc', addresses: ['10.96.0.8'] })
  assert.equal(book.find('db.example.com.elsewhere.org'), undefined)
})

test('a wildcard stands for what is below it, the longest first, and for nothing that has a name of its own', () => {
  const book = bookOf(outside('*.example.com', '192.0.2.1'), outside('*.eu.example.com', '192.0.2.2'), outside('www.example.com', '192.0.2.3'))
  assert.deepEqual(book.find('a.example.com')?.addresses, ['192.0.2.1'])
  assert.deepEqual(book.find('a.b.eu.example.com')?.addresses, ['192.0.2.2'])
  assert.deepEqual(book.find('www.example.com')?.addresses, ['192.0.2.3'])
  assert.equal(book.find('example.com'), undefined)
})

test('what goes uncovers what it hid, and leaves nothing', () => {
  const book = bookOf(service('cart', 'prod', '10.96.0.7'), outside('cart.prod', '192.0.2.1'))
  assert.deepEqual(book.find('cart.prod')?.addresses, ['192.0.2.1'])
  book.put('cart.prod', undefined)
  assert.deepEqual(book.find('cart.prod')?.addresses, ['10.96.0.7'])
  book.put('cart.prod.svc.cluster.local', plan(service('cart', 'prod', '10.96.0.9')))
  assert.deepEqual(book.find('cart')?.addresses, ['10.96.0.9'])
  book.put('cart.prod.svc.cluster.local', undefined)
  for (const name of ['cart', 'cart.prod', 'cart.prod.svc.cluster.local']) assert.equal(book.find(name), undefined)
})
