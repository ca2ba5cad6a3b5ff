import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { ENVOY_VERSIONS, installEnvoy } from '#infra/parts/envoy.ts'
import { type PlaneUnderTest, startPlane } from '../parts/control-plane.ts'
import { root, runCommand, until, type Ran } from './shop.ts'

const engines = [{ name: 'weft', address: '127.41.0.1', envoy: undefined }, ...ENVOY_VERSIONS.map((version, index) => ({ name: `envoy-${version.replaceAll('.', '-')}`, address: `127.41.0.${index + 2}`, envoy: version }))]

const shop = (): object[] => {
  const folder = path.join(root, 'examples/shop/config')
  return readdirSync(folder).sort().flatMap((file) => parseAllDocuments(readFileSync(path.join(folder, file), 'utf8')).map((document) => document.toJS() as object))
}

/** The cells of each line below the header, by the width of its columns. */
function rowsOf(text: string): Record<string, string>[] {
  const [header = '', ...lines] = text.trimEnd().split('\n')
  const titles = header.split(/ {3,}/)
  const starts = titles.map((title) => header.indexOf(title))
  return lines.map((line) => Object.fromEntries(titles.map((title, index) => [title, line.slice(starts[index], starts[index + 1]).trim()])))
}

describe('weft proxy-config of live proxies', () => {
  let plane: PlaneUnderTest
  let key = ''
  const children: ChildProcess[] = []
  const folder = mkdtempSync(path.join(tmpdir(), 'weft-proxy-config-'))
  const weft = (args: readonly string[], command = 'proxy-config'): Promise<Ran> =>
    runCommand(process.execPath, ['--disable-warning=ExperimentalWarning', 'cli/main.ts', command, ...args], { env: { WEFT_SERVER: `http://127.0.0.1:${plane.plane.rest.port}`, WEFT_API_KEY: key, WEFT_MESH: 'demo/shop' } })
  const well = async (...args: string[]): Promise<string> => {
    const ran = await weft(args)
    assert.equal(ran.code, 0, `${args.join(' ')}: ${ran.stderr}`)
    assert.doesNotMatch(ran.stdout, /PRIVATE KEY|LS0tLS1CRUdJTiB[A-Z0-9+/]*UFJJVkFURSBLRVk/)
    return ran.stdout
  }

  before(async () => {
    plane = await startPlane()
    key = await plane.plane.createApiKey(await plane.plane.ensureOrganization('demo'), 'looker', 'viewer')
    await plane.apply(...shop())
    const rootFile = path.join(folder, 'root.pem')
    writeFileSync(rootFile, plane.plane.xds.rootCertificate)
    for (const { name, address, envoy } of engines) {
      const token = await plane.plane.createJoinToken(plane.mesh, 'prod', 'order-service', 600_000)
      const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'cli/main.ts', 'proxy'], {
        cwd: root,
        stdio: ['ignore', 'ignore', 'pipe'],
        env: {
          ...process.env,
          WEFT_XDS: `127.0.0.1:${plane.plane.xds.port}`,
          WEFT_XDS_ROOT: rootFile,
          WEFT_JOIN_TOKEN: token,
          WEFT_NAME: name,
          WEFT_NAMESPACE: 'prod',
          WEFT_SERVICE_ACCOUNT: 'order-service',
          WEFT_LABELS: JSON.stringify({ app: 'order-service', version: 'v1' }),
          WEFT_ADDRESS: address,
          WEFT_PORTS: JSON.stringify([{ port: 8080, name: 'http', listen: { address, port: 15006 }, app: { address, port: 8080 } }]),
          WEFT_OUTBOUND: `${address}:15001`,
          WEFT_ADMIN: `${address}:15000`,
          WEFT_STATE_DIR: path.join(folder, name),
          WEFT_DRAIN_SECONDS: '0',
          ...(envoy === undefined ? {} : { WEFT_ENGINE: 'envoy', WEFT_ENVOY: await installEnvoy(envoy), WEFT_ENVOY_ARGUMENTS: '--concurrency 1' }),
        },
      })
      child.stderr.resume()
      children.push(child)
    }
    await until(
      'every proxy is in sync and knows all of them',
      async () => {
        const { items } = (await (await plane.rest('/proxies')).json()) as { items: { node: { name: string }; types: { state: string }[] }[] }
        if (items.length < engines.length || items.some((one) => one.types.length < 4 || one.types.some(({ state }) => state !== 'SYNCED' && state !== 'NOT_SENT'))) return false
        for (const { address } of engines) {
          const clusters = await fetch(`http://${address}:15000/clusters`).then((one) => one.text(), () => '')
          if (!engines.every((other) => clusters.includes(`outbound|8080|v1|order-service.prod.svc.cluster.local::${other.address}:15006`))) return false
        }
        return true
      },
      120_000,
    )
  })
  after(async () => {
    await Promise.all(
      children.map(async (child) => {
        const gone = new Promise((resolve) => child.once('exit', resolve))
        if (child.exitCode !== null || child.signalCode !== null) return
        child.kill('SIGTERM')
        await gone
      }),
    )
    await plane.close()
    rmSync(folder, { recursive: true, force: true })
  })

  for (const { name, address } of engines) {
    const proxy = `${name}.prod`
    test(`${name}: clusters, with their rule, and by filters`, async () => {
      const text = await well('cluster', proxy)
      assert.match(text, /^SERVICE FQDN +PORT +SUBSET +DIRECTION +TYPE +DESTINATION RULE +FROM$/m)
      const rows = rowsOf(await well('cluster', proxy, '--fqdn', 'order-service.prod', '--port', '8080'))
      assert.deepEqual(rows.map((row) => [row['SUBSET'], row['DIRECTION'], row['TYPE'], row['DESTINATION RULE']]), [
        ['-', 'outbound', 'EDS', 'order-service.prod'],
        ['v1', 'outbound', 'EDS', 'order-service.prod'],
        ['v2', 'outbound', 'EDS', 'order-service.prod'],
      ])
      assert.deepEqual(rowsOf(await well('cluster', proxy, '--direction', 'inbound')).map((row) => row['PORT']), ['8080'])
      assert.deepEqual(rowsOf(await well('cc', proxy, '--subset', 'v2')).map((row) => row['SERVICE FQDN']), ['order-service.prod.svc.cluster.local'])
    })

    test(`${name}: listeners, with where they lead`, async () => {
      const text = await well('listener', proxy)
      assert.match(text, /^ADDRESSES +PORT +MATCH +DESTINATION +FROM$/m)
      assert.match(text, new RegExp(`^${address.replaceAll('.', '\\.')} +15006 +.*Trans: tls.* +Cluster: inbound\\|8080\\|\\|`, 'm'))
      const outbound = rowsOf(await well('listener', proxy, '--port', '15001'))
      assert.ok(outbound.length > 0 && outbound.every((row) => row['ADDRESSES'] === address))
      assert.match(outbound.map((row) => row['DESTINATION']).join(), /Route/)
    })

    test(`${name}: routes, with the rule and field that made them`, async () => {
      const text = await well('route', proxy)
      assert.match(text, /^NAME +VHOST NAME +DOMAINS +MATCH +VIRTUAL SERVICE +DESTINATION +FROM$/m)
      const [row] = rowsOf(await well('route', proxy, '--name', 'outbound|8080||order-service.prod.svc.cluster.local'))
      assert.deepEqual([row?.['MATCH'], row?.['VIRTUAL SERVICE'], row?.['FROM']], ['/*', 'order-service.prod', 'VirtualService/prod/order-service http[0]'])
      assert.match(row?.['DESTINATION'] ?? '', /90 outbound\|8080\|v1\|.*10 outbound\|8080\|v2\|/)
    })

    test(`${name}: endpoints, with what the proxy thinks of them`, async () => {
      const text = await well('endpoint', proxy)
      assert.match(text, /^ENDPOINT +STATUS +OUTLIER CHECK +CLUSTER +FROM$/m)
      const rows = rowsOf(await well('endpoint', proxy, '--cluster', 'outbound|8080|v1|order-service.prod.svc.cluster.local', '--status', 'healthy'))
      assert.deepEqual(rows.map((row) => [row['ENDPOINT'], row['STATUS'], row['OUTLIER CHECK']]), engines.map((one) => [`${one.address}:15006`, 'HEALTHY', 'OK']))
      assert.deepEqual(rowsOf(await well('endpoint', proxy, '--address', address, '--subset', 'v1')).length, 1)
      assert.deepEqual(rowsOf(await well('endpoint', proxy, '--status', 'draining')), [])
    })

    test(`${name}: secrets, with their certificates and never a key`, async () => {
      const text = await well('secret', proxy)
      assert.match(text, /^RESOURCE NAME +TYPE +STATUS +VALID CERT +SERIAL NUMBER +NOT AFTER +NOT BEFORE +FROM$/m)
      const rows = rowsOf(text)
      assert.deepEqual(rows.map((row) => [row['RESOURCE NAME'], row['TYPE'], row['STATUS'], row['VALID CERT']]), [['default', 'Cert Chain', 'ACTIVE', 'true'], ['ROOTCA', 'CA', 'ACTIVE', 'true']])
      for (const row of rows) {
        assert.match(row['SERIAL NUMBER'] ?? '', /^[\da-f]{8,}$/)
        assert.match(row['NOT AFTER'] ?? '', /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
      }
      await well('secret', proxy, '-o', 'json')
    })

    test(`${name}: all of it by its admin port, as JSON and YAML, from a dump, and its bootstrap`, async () => {
      const at = ['--admin', `${address}:15000`]
      const all = await well('all', ...at)
      for (const title of ['LISTENERS', 'ROUTES', 'CLUSTERS', 'ENDPOINTS', 'SECRETS']) assert.match(all, new RegExp(`^${title}$`, 'm'))
      const json = JSON.parse(await well('cluster', ...at, '--subset', 'v1', '-o', 'json')) as { name: string }[]
      assert.deepEqual(json.map((one) => one.name), ['outbound|8080|v1|order-service.prod.svc.cluster.local'])
      assert.match(await well('cluster', ...at, '--subset', 'v1', '-o', 'yaml'), /name: outbound\|8080\|v1\|order-service/)
      const file = path.join(folder, `${name}.json`)
      writeFileSync(file, await (await fetch(`http://${address}:15000/config_dump?include_eds`)).text())
      assert.equal(rowsOf(await well('cluster', '-f', file, '--subset', 'v1')).length, 1)
      assert.match(await well('bootstrap', proxy), new RegExp(`id: sidecar~${address.replaceAll('.', '\\.')}~${name}\\.prod~`))
      const node = JSON.parse(await well('bootstrap', proxy, '-o', 'json')) as { node: { id: string } }
      assert.match(node.node.id, /^sidecar~/)
    })
  }

  for (const { name, address } of engines) {
    test(`${name}: proxy-status of one proxy says, type by type, that it holds what it was sent`, async () => {
      for (const args of [[`${name}.prod`], [`${name}.prod`, '--admin', `${address}:15000`]]) {
        const ran = await weft(args, 'proxy-status')
        assert.match(ran.stdout, /^Clusters Match \([1-9]\d*\)\nListeners Match \([1-9]\d*\)\nRoutes Match \([1-9]\d*\)\nEndpoints Match \([1-9]\d*\)$/m)
        assert.deepEqual([ran.code, ran.stderr], [0, ''])
      }
    })
  }

  test('proxy-status of one proxy says what differs from what it was sent, with the object behind it', async () => {
    for (const [index, { name }] of engines.entries()) {
      // Each is asked for at the admin port of the next: whose own listeners and inbound clusters are at other addresses.
      const other = engines[(index + 1) % engines.length]
      const ran = await weft([`${name}.prod`, '--admin', `${other?.address ?? ''}:15000`], 'proxy-status')
      assert.equal(ran.code, 1)
      assert.match(ran.stdout, /^Listeners Don't Match$/m)
      assert.match(ran.stdout, /^ {2}\S+: held as something else/m)
      assert.match(ran.stdout, /^--- \S+ \(sent\)\n\+\+\+ \S+ \(held\)\n@@ /m)
      assert.match(ran.stdout, /^Routes Match/m)
    }
    const nobody = await weft(['weft.prod', '--admin', '127.0.0.1:1'], 'proxy-status')
    assert.equal(nobody.code, 1)
    assert.match(nobody.stderr, /no proxy answers at 127\.0\.0\.1:1/)
    assert.equal((await weft(['--admin', '127.0.0.1:1'], 'proxy-status')).code, 2)
  })

  test('the engines hold the same rows', async () => {
    for (const section of ['route', 'cluster', 'listener'] as const) {
      const [first, ...others] = await Promise.all(
        engines.map(async ({ name, address }) => {
          const rows = rowsOf(await well(section, `${name}.prod`)).filter((row) => section !== 'cluster' || row['DIRECTION'] === 'outbound')
          return rows.map((row) => Object.values(row).join(' ').replaceAll(address, 'ADDRESS')).sort()
        }),
      )
      for (const [index, other] of others.entries()) {
        // Envoy counts among its routes those that stand within a listener.
        const missing = first?.filter((row) => !other.includes(row))
        assert.deepEqual(missing, [], `${section} of ${engines[index + 1]?.name ?? ''}`)
      }
    }
  })

  test('a proxy that is nowhere is not found, and several at once are wrong usage', async () => {
    assert.equal((await weft(['listener', 'nobody.prod'])).code, 4)
    assert.equal((await weft(['listener', 'weft.prod', '--admin', '127.0.0.1:1'])).code, 2)
    const away = await weft(['listener', '--admin', '127.0.0.1:1'])
    assert.equal(away.code, 1)
    assert.match(away.stderr, /no proxy answers at 127\.0\.0\.1:1/)
  })
})
