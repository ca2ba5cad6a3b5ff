import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { addresses, askFrom, installTools, iptablesAlone, makeHosts, run, startOn } from './namespaces.ts'

const here = import.meta.dirname
const PROXY_UID = 1337

for (const tool of ['nftables', 'iptables'] as const) {
  test(`look-ups are answered with the mesh’s names, others by the host’s resolvers, captured by ${tool}`, async (t) => {
    if (process.getuid?.() !== 0) return t.skip('network namespaces are made by root alone')
    installTools(['dig', 'bind9-dnsutils'])
    const hosts = makeHosts(t)
    const { near, far } = hosts
    // `ip netns exec` puts it where /etc/resolv.conf is.
    const etc = `/etc/netns/${near}`
    mkdirSync(etc, { recursive: true })
    t.after(() => rmSync(etc, { recursive: true, force: true }))
    writeFileSync(join(etc, 'resolv.conf'), `nameserver ${addresses.far}\nsearch prod.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5 timeout:2\n`)
    await startOn(t, far, join(here, 'resolver.ts'), 0, addresses.far)
    await startOn(t, far, join(here, 'server.ts'), 0, `${addresses.far}:8080`)
    await startOn(t, near, join(here, 'names-proxy.ts'), PROXY_UID)
    const dig = (...words: string[]): string[] => run('ip', ['netns', 'exec', near, 'dig', '+short', '+tries=1', '+time=5', ...words]).trim().split('\n').filter((line) => line !== '').sort()
    const status = (...words: string[]): string => /status: (\w+)/.exec(run('ip', ['netns', 'exec', near, 'dig', '+tries=1', '+time=5', ...words]))?.[1] ?? ''
    const getent = (database: string, name: string): string => spawnSync('ip', ['netns', 'exec', near, 'getent', database, name], { encoding: 'utf8' }).stdout
    // Without nft on its path the command takes iptables.
    const path = tool === 'nftables' ? process.env['PATH'] : iptablesAlone(t)
    const install = (...words: string[]): void => {
      const done = spawnSync('ip', ['netns', 'exec', near, 'env', `PATH=${path}`, process.execPath, '--disable-warning=ExperimentalWarning', join(here, '../../cli/main.ts'), 'proxy', 'install-capture', ...words], { encoding: 'utf8' })
      assert.equal(done.status, 0, `${done.error?.message ?? ''}${done.stderr}`)
      if (!words.includes('--remove')) assert.match(done.stderr, new RegExp(tool))
    }

    assert.equal(status('db.example.com'), 'NXDOMAIN')
    install('--dns', '--exclude-uid', String(PROXY_UID), '--include-cidrs', '192.0.2.0/24')

    await t.test('a name of the mesh, over UDP and TCP, in each form, of each family', () => {
      for (const transport of ['+notcp', '+tcp']) {
        assert.deepEqual(dig(transport, 'db.example.com'), ['240.240.62.97'])
        assert.deepEqual(dig(transport, 'db.example.com', 'AAAA'), ['2001:2::f0f0:3e61'])
        assert.deepEqual(dig(transport, 'cart.prod'), ['10.251.0.2'])
        assert.deepEqual(dig(transport, '+search', 'cart'), ['10.251.0.2'])
        assert.deepEqual(dig(transport, 'queue.prod.svc.cluster.local'), ['10.0.0.8', '10.0.0.9'])
        assert.deepEqual(dig(transport, 'any.wild.example.com'), ['192.0.2.1'])
        assert.deepEqual([status(transport, 'cart.prod', 'AAAA'), dig(transport, 'cart.prod', 'AAAA')], ['NOERROR', []])
      }
    })

    await t.test('whatever resolver an application asks', () => {
      assert.deepEqual(dig('@10.251.0.99', 'db.example.com'), ['240.240.62.97'])
      assert.deepEqual(dig('@127.0.0.53', 'db.example.com'), ['240.240.62.97'])
      assert.deepEqual(dig(`@${addresses.farSix}`, 'db.example.com'), ['240.240.62.97'])
    })

    await t.test('what is not the mesh’s, from the host’s resolver, which the proxy reaches', () => {
      assert.deepEqual(dig('www.example.org'), ['192.0.2.80'])
      assert.deepEqual(dig('+tcp', 'www.example.org'), ['192.0.2.80'])
      assert.equal(status('nobody.example.org'), 'NXDOMAIN')
      assert.deepEqual(dig('long.example.org', 'TXT'), [`"${'x'.repeat(200)}"`])
    })

    await t.test('as the C library and Node look names up', () => {
      assert.match(getent('ahostsv4', 'cart'), /^10\.251\.0\.2 /)
      assert.match(getent('ahostsv4', 'db.example.com'), /^240\.240\.62\.97 /)
      assert.match(getent('ahostsv4', 'www.example.org'), /^192\.0\.2\.80 /)
      assert.equal(getent('ahostsv4', 'nobody.example.org'), '')
      assert.equal(askFrom(near, 'http://cart:8080/').status, 200)
    })

    await t.test('again and away', () => {
      install('--dns', '--exclude-uid', String(PROXY_UID), '--include-cidrs', '192.0.2.0/24')
      assert.deepEqual(dig('db.example.com'), ['240.240.62.97'])
      install('--exclude-uid', String(PROXY_UID), '--include-cidrs', '192.0.2.0/24')
      assert.equal(status('db.example.com'), 'NXDOMAIN')
      install('--remove')
      assert.equal(run('ip', ['netns', 'exec', near, 'nft', '-s', 'list', 'ruleset']).includes('15053'), false)
    })
  })
}
