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

test('a loopback port is asked by its own names alone: a name that somebody made to lead here is refused', async (t) => {
  const quiet = { debug() {}, info() {}, warn() {}, error() {}, level: 'info' } as const
  const { server, port } = await servePages({ address: '127.0.0.1', port: 0 }, new Map([['GET /config_dump', () => ({ body: 'all of it' })]]), quiet)
  t.after(() => server.close())
  const statusBy = async (host: string): Promise<number> => (await ask(port, '/config_dump', { headers: { host } })).status
  for (const host of ['localhost', `localhost:${port}`, 'LOCALHOST', `127.0.0.1:${port}`, '127.9.9.9', `[::1]:${port}`]) assert.equal(await statusBy(host), 200, host)
  for (const host of ['rebound.example', `rebound.example:${port}`, 'localhost.example', '127.0.0.1.example', '127.evil', '10.0.0.1', '[::2]']) assert.equal(await statusBy(host), 403, host)
  const anywhere = await servePages({ address: '0.0.0.0', port: 0 }, new Map([['GET /config_dump', () => ({ body: 'all of it' })]]), quiet)
  t.after(() => anywhere.server.close())
  assert.equal((await ask(anywhere.port, '/config_dump', { headers: { host: 'proxy.example' } })).status, 200, 'who binds elsewhere is asked by any name')
})
