import assert from 'node:assert/strict'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Impact } from '#core/contract/impact.ts'
import { startTicksOf } from '#cli/up/process-record.ts'
import { isUnlikely } from '#cli/engines/chance.ts'
import { startLoad, tally } from './load.ts'
import { runCommand, send, Shop, until, type ShopOptions } from './shop.ts'
import { config, denyReads, gatewayAt, oneConnection, orders, quickEjection, retriesTo, secretOf, split, subsetsAlone } from './shop-configuration.ts'
import { askOverTls, handshake, strangerCertificate } from './tls-clients.ts'

/** The whole shop through the whole system, on one engine and one database: what an operator sees and relies on. */
export function shopSuite(options: () => Promise<ShopOptions & { release?: () => Promise<void> }>): void {
  let shop: Shop
  let release: (() => Promise<void>) | undefined

  before(async () => {
    const chosen = await options()
    release = chosen.release
    shop = new Shop(chosen)
    await shop.start()
  })
  after(async () => {
    const pids = shop.ready ? [shop.ready.pid, ...shop.ready.workloads.map((one) => one.pid)] : []
    const code = await shop.stop()
    await release?.()
    assert.equal(code, 0, shop.output)
    // A zombie that nobody waits for has ended.
    for (const pid of pids) assert.equal(startTicksOf(pid), undefined, `process ${pid} is still there`)
    shop.remove()
  })

  test('every proxy is SYNCED', async () => {
    const status = await shop.weft(['proxy-status'])
    assert.equal(status.code, 0, status.stderr)
    for (const name of ['order-v1.prod', 'order-v2.prod', 'payment-v1.prod', 'client.prod', 'ingressgateway.istio-ingress']) {
      assert.match(status.stdout, new RegExp(`${name.replace('.', '\\.')} .*SYNCED`), status.stdout)
    }
  })

  describe('canary', () => {
    before(async () => {
      await shop.apply(config('destination-rule.yaml'))
      await shop.apply(config('canary.yaml'))
      await shop.behave('order-v1', {})
      await shop.behave('order-v2', {})
    })

    test('one request in ten goes to v2', async () => {
      const { byVersion, statuses } = await tally(shop.workload('client').outbound, orders, 6000)
      assert.deepEqual([...statuses.keys()], [200])
      const took = byVersion.get('v2') ?? 0
      assert.equal(isUnlikely(took, 6000, 0.1), false, `v2 took ${took} of 6000`)
    })

    test('a new split is in force after apply, and no request fails', async () => {
      const load = startLoad(shop.workload('client').outbound, orders, 200)
      await until('load runs', () => load.sent() > 100)
      await shop.apply(split(50, 50))
      // Of a hundred at one in ten not once in ten million runs are there so many.
      await until('the new split is in force', async () => ((await tally(shop.workload('client').outbound, orders, 100)).byVersion.get('v2') ?? 0) > 30)
      const after = await tally(shop.workload('client').outbound, orders, 2000)
      const { failed } = await load.stop()
      assert.deepEqual(failed, [])
      const took = after.byVersion.get('v2') ?? 0
      assert.equal(isUnlikely(took, 2000, 0.5), false, `v2 took ${took} of 2000`)
    })
  })

  describe('destination rule', () => {
    before(async () => {
      await shop.apply(config('destination-rule.yaml'))
      await shop.apply(split(0, 100))
    })
    after(() => shop.behave('order-v2', {}))

    test('an instance that answers five 5xx in a row is ejected, and comes back after its time', async () => {
      await shop.apply(quickEjection())
      await shop.behave('order-v2', { status: 500 })
      for (let n = 0; n < 5; n++) assert.equal((await shop.call('client', orders)).status, 500)
      await until('the only instance is out', async () => (await shop.call('client', orders)).status === 503)
      await shop.behave('order-v2', {})
      await until('the instance is back', async () => (await shop.call('client', orders)).status === 200)
    })

    test('a request beyond 100 pending is refused with 503 and flag UO', async () => {
      await shop.apply(oneConnection)
      // One has the connection, or one of each thread, and a hundred wait for it.
      await shop.behave('order-v2', { hang: true })
      const agent = new http.Agent({ maxSockets: Infinity })
      const answered: number[] = []
      const all = Promise.allSettled(Array.from({ length: 140 }, async () => void answered.push((await send(shop.workload('client').outbound, { ...orders, agent })).status)))
      await until('many are refused', () => answered.length >= 30)
      const lines = await shop.accessLog('client', (line) => line['response_flags'] === 'UO')
      assert.equal(lines[0]?.['response_code'], 503)
      // While the connection is made the first one waits for it, too.
      assert.ok(answered.length <= 40 && answered.every((status) => status === 503), String(answered))
      agent.destroy()
      await all
      await shop.behave('order-v2', {})
      await shop.apply(config('destination-rule.yaml'))
    })
  })

  describe('gateway', () => {
    const port = () => shop.ready.gateway.https.split(':')[1] ?? ''
    const curl = (host: string, url: string) =>
      runCommand('curl', ['--silent', '--show-error', '--max-time', '120', '--resolve', `${host}:${port()}:127.0.0.1`, '--cacert', path.join(shop.dir, 'api-tls-cert', 'ca.pem'), `https://${host}:${port()}${url}`])

    before(async () => {
      await shop.apply(config('gateway.yaml'))
      await shop.apply(config('canary.yaml'))
    })

    test('https://api.example.com/orders answers', async () => {
      const answer = await curl('api.example.com', '/orders')
      assert.equal(answer.code, 0, answer.stderr)
      assert.match(answer.stdout, /"version":"v[12]"/)
    })

    test('a path that no route names is 404', async () => {
      const answer = await runCommand('curl', ['--silent', '--output', '/dev/null', '--write-out', '%{http_code}', '--resolve', `api.example.com:${port()}:127.0.0.1`, '--insecure', `https://api.example.com:${port()}/elsewhere`])
      assert.equal(answer.stdout, '404')
    })

    test('another host name gets no certificate of ours', async () => {
      const outcome = await handshake(Number(port()), 'other.example.com')
      assert.doesNotMatch(outcome, /handshake/)
    })

    test('the Secret read back is redacted', async () => {
      const { stdout } = await shop.kubectl(['get', 'secret', 'api-tls-cert', '-n', 'istio-ingress', '-o', 'yaml'])
      assert.match(stdout, /api-tls-cert/)
      assert.doesNotMatch(stdout, /PRIVATE KEY|LS0tLS1CRUdJTi/)
    })
  })

  describe('timeout and retries', () => {
    before(async () => {
      await shop.apply(subsetsAlone)
      await shop.apply(config('timeout-retries.yaml'))
    })
    after(async () => {
      await shop.behave('order-v1', {})
      await shop.behave('order-v2', {})
      await shop.apply(config('destination-rule.yaml'))
    })

    test('one failure of each version and an answer are one 200 for the caller', async () => {
      await shop.behave('order-v1', { status: 503, times: 1 })
      await shop.behave('order-v2', { status: 503, times: 1 })
      // A try may meet the one that has failed already, and then the other fails for a later call.
      let calls = 0
      await until('both have failed', async () => {
        assert.equal((await shop.call('client', orders)).status, 200)
        calls += 1
        return (await shop.seen('order-v1')).total + (await shop.seen('order-v2')).total >= calls + 2
      })
      // From here on v2 alone decides, so that tries can be counted.
      await shop.apply(retriesTo('v2'))
      await onlyAnswers(shop, 'v2')
    })

    test('two failures and an answer are one 200 with attempt count 3', async () => {
      await shop.behave('order-v2', { status: 503, times: 2 })
      const answer = await shop.call('client', orders)
      assert.equal(answer.status, 200)
      const seen = await shop.seen('order-v2')
      assert.equal(seen.total, 3)
      assert.equal(seen.last.at(-1)?.headers['x-envoy-attempt-count'], '3')
    })

    test('a workload that hangs is tried again, and costs 10 s in all', async () => {
      await shop.behave('order-v2', { hang: true })
      const began = performance.now()
      const answer = await shop.call('client', orders)
      const seconds = (performance.now() - began) / 1000
      assert.equal(answer.status, 504)
      assert.ok(seconds > 9.5, `${seconds} s`)
      // Of 3 s each; a machine that stands still has fewer.
      const { total } = await shop.seen('order-v2')
      assert.ok(total >= 2 && total <= 4, `${total} tries`)
    })

    test('a POST is retried as Istio would: by what retryOn says, whatever its method', async () => {
      await shop.behave('order-v2', { status: 503, times: 2 })
      const answer = await shop.call('client', { ...orders, method: 'POST', body: '{}' })
      assert.equal(answer.status, 201)
    })
  })

  describe('strict mTLS', () => {
    before(() => shop.apply(config('strict-mtls.yaml')))

    test('plaintext straight to the inbound port is refused', async () => {
      await assert.rejects(send(shop.workload('order-v1').inbound, { host: 'order-service:8080', path: '/orders', timeoutMs: 5000 }))
    })

    for (const [who, material] of [
      ['without a certificate', () => ({})],
      ['with a certificate of another mesh', () => strangerCertificate(shop.dir)],
    ] as const) {
      test(`TLS ${who} is refused`, async () => {
        const outcome = await askOverTls(shop.workload('order-v1').inbound, orders, material())
        assert.match(outcome, /^refused/)
      })
    }

    test('the mesh itself goes on', async () => {
      assert.equal((await shop.call('client', orders)).status, 200)
    })
  })

  describe('authorization', () => {
    const pay = { method: 'POST', host: 'payment-service:8080', path: '/api/pay', body: '{}' }
    before(async () => {
      await shop.apply(config('strict-mtls.yaml'))
      await shop.apply(config('payment-authz.yaml'))
    })

    test('order-service may POST /api/pay', async () => {
      assert.equal((await shop.call('order-v1', pay)).status, 200)
    })

    for (const [what, from, call] of [
      ['GET', 'order-v1', { host: 'payment-service:8080', path: '/api/pay' }],
      ['another path', 'order-v1', { ...pay, path: '/api/refund' }],
      ['another service account', 'client', pay],
    ] as const) {
      test(`${what} gets 403 RBAC: access denied`, async () => {
        const answer = await shop.call(from, call)
        assert.equal(answer.status, 403)
        assert.equal(answer.body, 'RBAC: access denied')
      })
    }

    test('the access log names the policy', async () => {
      const lines = await shop.accessLog('payment-v1', (line) => line['response_code'] === 403)
      assert.match(JSON.stringify(lines[0]), /payment-authz|rbac_access_denied/)
    })
  })

  test('the impact of a policy is told by the calls that the mesh has seen, and nothing is stored', async () => {
    const before = await shop.weft(['history', '-o', 'json'])
    const isWeft = shop.workload('client').engine === 'weft'
    const wanted = isWeft ? 'GET http://order-service:8080/orders/{n}' : 'GET http://order-service.prod.svc.cluster.local:8080/'
    await shop.call('client', { host: 'order-service:8080', path: '/orders/4711?token=canary' })
    let told: Impact | undefined
    await until('the call was reported', async () => {
      const ran = await shop.weft(['diff', '-f', '-', '--impact', '-o', 'json'], denyReads)
      assert.equal(ran.code, 1, ran.stderr)
      assert.ok(!ran.stdout.includes('canary') && !ran.stdout.includes('4711'))
      told = JSON.parse(ran.stdout) as Impact
      return told.calls.some((one) => one.from === 'client.prod' && `${one.method} ${one.url}` === wanted)
    })
    const call = told?.calls.find((one) => one.from === 'client.prod' && `${one.method} ${one.url}` === wanted)
    assert.deepEqual([call?.assumed, call?.before.outcome, call?.after.outcome, call?.after.status, call?.after.by?.resource], [!isWeft, 'routed', 'refused', 403, 'AuthorizationPolicy/prod/impact'])
    assert.deepEqual(told?.workloads, [{ name: 'prod/order-service', proxies: 2 }])
    assert.deepEqual(told?.groups.map((one) => one.proxies), [['order-v1.prod', 'order-v2.prod']])
    const words = await shop.weft(['diff', '-f', '-', '--impact'], denyReads)
    assert.match(words.stdout, /resources of 2 of \d+ proxies/)
    assert.match(words.stdout, /after: {2}refused 403 .*by AuthorizationPolicy\/prod\/impact/)
    assert.equal((await shop.weft(['history', '-o', 'json'])).stdout, before.stdout)
    assert.equal((await shop.call('client', orders)).status, 200, 'and the proxies carry on as before')
  })

  describe('mirror', () => {
    before(() => shop.apply(config('mirror.yaml')))
    after(() => shop.behave('order-v2', {}))

    test('v2 gets a copy of every request, with -shadow on the authority', async () => {
      await shop.behave('order-v2', {})
      const { byVersion } = await tally(shop.workload('client').outbound, { ...orders, path: '/orders?mirrored=yes' }, 50)
      assert.deepEqual([...byVersion.keys()], ['v1'])
      const mirrored = (seen: { last: { path: string; headers: http.IncomingHttpHeaders }[] }) => seen.last.filter((one) => one.path === '/orders?mirrored=yes')
      await until('all copies arrived', async () => mirrored(await shop.seen('order-v2')).length === 50)
      assert.match(String(mirrored(await shop.seen('order-v2'))[0]?.headers.host), /-shadow/)
    })

    for (const behaviour of [{ delayMs: 3_600_000 }, { status: 500 }, { reset: true }, { hang: true }]) {
      test(`a v2 that is told ${JSON.stringify(behaviour)} changes nothing for the caller`, async () => {
        await shop.behave('order-v2', behaviour)
        const { statuses } = await tally(shop.workload('client').outbound, orders, 20, 4)
        assert.deepEqual([...statuses], [[200, 20]])
      })
    }
  })

  test('a release from nothing to everything and back loses no request', async () => {
    await shop.behave('order-v2', {})
    await shop.apply(config('destination-rule.yaml'))
    await shop.apply(split(100, 0))
    const load = startLoad(shop.workload('client').outbound, orders, 100)
    for (const share of [5, 20, 50, 100, 0]) {
      await shop.apply(split(100 - share, share))
      if (share % 100 === 0) await onlyAnswers(shop, share === 0 ? 'v1' : 'v2')
      const { byVersion } = await tally(shop.workload('client').outbound, orders, 400)
      const took = byVersion.get('v2') ?? 0
      assert.equal(isUnlikely(took, 400, share / 100), false, `at ${share} %: ${took} of 400`)
    }
    const { failed, sent } = await load.stop()
    assert.ok(sent > 100)
    assert.deepEqual(failed, [])
  })

  describe('bad input changes nothing', () => {
    const cases: readonly [what: string, yaml: () => string, complaint: RegExp][] = [
      ['an unknown field', () => split(50, 50).replace('http:', 'htp:'), /spec\.htp/],
      ['a weight of 150', () => split(150, 50), /spec\.http\[0\]\.route\[0\]\.weight/],
      ['an invalid PEM', () => secretOf('not a certificate', 'nor a key'), /data\["?tls\.(crt|key)|data\.tls\.crt/],
    ]
    for (const [what, yaml, complaint] of cases) {
      test(what, async () => {
        const before = await shop.weft(['history', '--limit', '1', '-o', 'json'])
        const ran = await shop.weft(['apply', '-f', '-'], yaml())
        assert.equal(ran.code, 1, ran.stdout)
        assert.match(ran.stderr, complaint)
        assert.equal((await shop.weft(['history', '--limit', '1', '-o', 'json'])).stdout, before.stdout)
      })
    }

    test('a subset that nothing defines comes back as a warning with its path', async () => {
      const ran = await shop.weft(['apply', '--dry-run', '-f', '-'], split(50, 50).replace('subset: v2', 'subset: v9'))
      assert.match(ran.stderr, /v9/)
    })
  })

  describe('what a proxy does not take', () => {
    let taken: net.Server
    before(async () => {
      taken = net.createServer()
      await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    })
    after(async () => {
      await shop.weft(['delete', 'gateway/blocked', '-n', 'istio-ingress', '--ignore-not-found'])
      taken.close()
    })

    test('a rejected resource shows with its reason and the object behind it, and the others still arrive', async () => {
      const ran = await shop.weft(['apply', '-f', '-', '--wait=5m'], gatewayAt((taken.address() as net.AddressInfo).port))
      assert.equal(ran.code, 1, ran.stdout + ran.stderr)
      assert.match(ran.stderr, /rejected by ingressgateway\.istio-ingress/)
      const status = await shop.weft(['proxy-status'])
      assert.equal(status.code, 1)
      assert.match(status.stdout, /ingressgateway\.istio-ingress .*REJECTED/)
      assert.match(status.stderr, /Gateway\/istio-ingress\/blocked/)
      assert.match(status.stderr, /bind|in use|EADDRINUSE/i)
      await shop.apply(split(0, 100))
      await onlyAnswers(shop, 'v2')
      await shop.weft(['delete', 'gateway/blocked', '-n', 'istio-ingress'])
      await until('the rejection is gone with its cause', async () => (await shop.weft(['proxy-status'])).code === 0)
    })
  })

  test('apply --wait fails naming the proxy that has not acknowledged', async () => {
    const group = -shop.workload('client').pid
    process.kill(group, 'SIGSTOP')
    try {
      let nth = 0
      // The others may take longer than that once, where the machine is slow.
      await until('it alone is named', async () => {
        const ran = await shop.weft(['apply', '-f', '-', '--wait=2s'], split(70 - nth, 30 + nth))
        assert.equal(ran.code, 6, ran.stdout + ran.stderr)
        nth += 1
        return /not acknowledged in time by client\.prod$/m.test(ran.stderr)
      })
    } finally {
      process.kill(group, 'SIGCONT')
    }
    await until('it catches up', async () => /client\.prod .*SYNCED/.test((await shop.weft(['proxy-status'])).stdout))
  })

  test('the control plane is killed under load: no request fails, and a change reaches the proxies once it is back', async () => {
    await shop.apply(split(100, 0))
    const load = startLoad(shop.workload('client').outbound, orders, 100)
    await until('load runs', () => load.sent() > 50)
    await shop.stop('SIGKILL')
    await until('load went on without it', () => load.sent() > 200)
    await shop.start()
    await shop.apply(split(0, 100))
    await onlyAnswers(shop, 'v2')
    const { failed } = await load.stop()
    assert.deepEqual(failed, [])
  })
}

/** Waits until no other version answers. A proxy acknowledges what its threads take a moment later, which is long where they stand still. */
const onlyAnswers = (shop: Shop, version: string): Promise<void> =>
  until(`${version} alone answers`, async () => [...(await tally(shop.workload('client').outbound, orders, 50)).byVersion.keys()].join() === version)
