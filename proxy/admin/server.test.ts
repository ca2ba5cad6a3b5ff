import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ask } from '../testing/peers.ts'
import { servePages } from './server.ts'

test('a page in a browser cannot end the proxy of the host that it is looked at on', async (t) => {
  let quits = 0
  const pages = new Map([['POST /quitquitquit', () => ({ body: `${(quits += 1)}` })]])
  const { server, port } = await servePages({ address: '127.0.0.1', port: 0 }, pages, { debug() {}, info() {}, warn() {}, error() {}, level: 'info' })
  t.after(() => server.close())
  for (const headers of [{ origin: 'https://elsewhere.example' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site' }]) {
    assert.equal((await ask(port, '/quitquitquit', { method: 'POST', headers })).status, 403)
  }
  assert.equal(quits, 0)
  assert.equal((await ask(port, '/quitquitquit', { method: 'POST' })).status, 200)
})
