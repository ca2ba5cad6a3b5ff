import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { addresses, askFrom, type Hosts, installTools, iptablesAlone, makeHosts, run, startOn } from './namespaces.ts'

const here = import.meta.dirname
const PROXY_UID = 1337

/** Rules of both families, without what was counted by them. */
const rules = ({ near }: Hosts, tool: 'nftables' | 'iptables'): string =>
  tool === 'nftables' ? run('ip', ['netns', 'exec', near, 'nft', '-s', 'list', 'ruleset']) : ['iptables', 'ip6tables'].map((program) => run('ip', ['netns', 'exec', near, program, '-t', 'nat', '-S'])).join('')

for (const tool of ['nftables', 'iptables'] as const) test(`captured by ${tool}, traffic reaches the proxy, which knows where it was going, over IPv4 and IPv6`, async (t) => {
  installTools()
  const hosts = makeHosts(t)
  // Without nft on its path the command takes iptables.
  const path = tool === 'nftables' ? process.env['PATH'] : iptablesAlone(t)
  const weft = (...words: string[]): void => {
    const done = spawnSync('ip', ['netns', 'exec', hosts.near, 'env', `PATH=${path}`, process.execPath, '--disable-warning=ExperimentalWarning', join(here, '../../cli/main.ts'), 'proxy', 'install-capture', ...words], { encoding: 'utf8' })
    assert.equal(done.status, 0, `${done.error?.message ?? ''}${done.stderr}`)
    if (!words.includes('--remove')) assert.match(done.stderr, new RegExp(`by ${tool}`))
  }
  const { far, far: away } = hosts
  const { near } = hosts
  const six = `[${addresses.farSix}]`
  await startOn(t, far, join(here, 'server.ts'), 0, ...[8080, 8081, 8082, 9090].map((port) => `${addresses.far}:${port}`), `${addresses.farSix}:8080`, `${addresses.farSix}:9090`)
  await startOn(t, near, join(here, 'server.ts'), 0, '127.0.0.1:8000', `${addresses.near}:8002`, `${addresses.nearSix}:8002`)
  await startOn(t, near, join(here, 'captured-proxy.ts'), PROXY_UID)

  assert.deepEqual(askFrom(near, `http://${addresses.far}:8080/`), { status: 200, seen: '', body: `${addresses.far}:8080 called by ${addresses.near} for ${addresses.far}:8080` })
  const untouched = rules(hosts, tool)
  weft('--exclude-uid', String(PROXY_UID))

  await t.test('a connection goes on to the listener of its port, of its address and port, or of nobody', () => {
    assert.equal(askFrom(near, `http://${addresses.far}:8080/`).seen, 'outbound-8080')
    assert.equal(askFrom(near, `http://${addresses.far}:8081/`).seen, 'outbound-one-address')
    assert.deepEqual(askFrom(near, `http://${addresses.far}:9090/`), { status: 200, seen: '', body: `${addresses.far}:9090 called by ${addresses.near} for ${addresses.far}:9090` })
  })

  await t.test('the same over IPv6', () => {
    assert.deepEqual(askFrom(near, `http://${six}:8080/`), { status: 200, seen: 'outbound-8080', body: `${addresses.farSix}:8080 called by ${addresses.nearSix} for ${six}:8080` })
    assert.equal(askFrom(near, `http://${six}:9090/`).body, `${addresses.farSix}:9090 called by ${addresses.nearSix} for ${six}:9090`)
  })

  await t.test('a call from elsewhere is served by the chain of the port that it was for', () => {
    assert.deepEqual(askFrom(away, `http://${addresses.near}:8000/`), { status: 200, seen: 'inbound-8000', body: `127.0.0.1:8000 called by 127.0.0.1 for ${addresses.near}:8000` })
    assert.equal(askFrom(away, `http://${addresses.near}:8001/`).seen, 'inbound-8001')
    assert.equal(askFrom(away, `http://${addresses.near}:8002/`).body.startsWith(`${addresses.near}:8002 called by`), true)
  })

  await t.test('the same over IPv6, by whoever calls', () => {
    assert.equal(askFrom(away, `http://[${addresses.nearSix}]:8000/`).body, `127.0.0.1:8000 called by 127.0.0.1 for [${addresses.nearSix}]:8000`)
    assert.equal(askFrom(away, `http://[${addresses.nearSix}]:8002/`).body, `${addresses.nearSix}:8002 called by ${addresses.nearSix} for [${addresses.nearSix}]:8002`)
  })

  await t.test('what an application says to itself is left alone', () => {
    assert.equal(askFrom(near, 'http://127.0.0.1:8000/').seen, '')
  })

  await t.test('a second run changes nothing, exclusions are left alone, and removal leaves no trace', () => {
    const once = rules(hosts, tool)
    weft('--exclude-uid', String(PROXY_UID))
    assert.equal(rules(hosts, tool), once)
    weft('--exclude-outbound-ports', '8080', '--exclude-inbound-ports', '8000')
    // Nobody listens there but on loopback, where the proxy leads.
    assert.throws(() => askFrom(away, `http://${addresses.near}:8000/`), /ECONNREFUSED/)
    assert.equal(askFrom(away, `http://${addresses.near}:8001/`).seen, 'inbound-8001')
    assert.equal(askFrom(near, `http://${addresses.far}:8080/`).seen, '')
    assert.equal(askFrom(near, `http://${addresses.far}:8081/`).seen, 'outbound-one-address')
    weft('--exclude-cidrs', `${addresses.far}/32,fd51::/64`)
    assert.equal(askFrom(near, `http://${addresses.far}:8081/`).seen, '')
    assert.equal(askFrom(near, `http://${six}:8080/`).seen, '')
    weft('--include-cidrs', '192.0.2.0/24')
    assert.equal(askFrom(near, `http://${addresses.far}:8080/`).seen, '')
    weft('--include-cidrs', 'fd51::/64')
    assert.deepEqual([askFrom(near, `http://${addresses.far}:8080/`).seen, askFrom(near, `http://${six}:8080/`).seen], ['', 'outbound-8080'])
    weft('--remove')
    assert.equal(rules(hosts, tool), untouched)
    weft('--remove')
    assert.equal(rules(hosts, tool), untouched)
  })
})
