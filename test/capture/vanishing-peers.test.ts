/**
 * What only shows when packets are lost: each workload on a host of its own, where a rule of the kernel's drops what the proxy says to a peer that is there no more.
 * Nothing here goes by the clock: probes are counted, the kernel says when the next is due, and of two waits the shorter must end first. It is not so short that a peer which is there is given up on a machine that stands still for seconds.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { CaseControlPlane } from '#cli/engines/control-plane.ts'
import { type Answer, send } from '#cli/engines/call.ts'
import { LiveCase } from '#cli/engines/live-case.ts'
import type { EngineParts } from '#cli/engines/live-proxy.ts'
import { routeOf } from '#cli/engines/observe.ts'
import type { RequestsFile } from '#core/contract/requests-file.ts'
import { readDocuments } from '#core/resource/documents.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { parseObject } from '#core/resource/parse.ts'
import { systemDoors } from '#core/time/system.ts'
import { bundleProxies } from '#infra/build/bundle.ts'
import { installEnvoy } from '#infra/parts/envoy.ts'
import { installTools } from './namespaces.ts'

const WAIT_MS = 120_000
const CALLS = 10
const ESTABLISHED = '01'

const outside = (name: string, address: string) => ({ name: `${name}-1`, namespace: 'prod', labels: { app: name }, ports: [8080], mutualTls: false, address })
const world: RequestsFile = {
  workloads: [
    { name: 'client', namespace: 'prod', labels: { app: 'client' }, address: '198.18.0.1' },
    outside('probed', '198.18.0.2'),
    outside('plain', '198.18.0.3'),
    outside('hasty', '198.18.0.4'),
    outside('patient', '198.18.0.5'),
    { name: 'order-1', namespace: 'prod', labels: { app: 'order' }, ports: [8080, 8081, 8082, 8083], address: '198.18.0.6' },
    { name: 'cart-1', namespace: 'prod', labels: { app: 'cart' }, ports: [8080, 8081], address: '198.18.0.7' },
  ],
  tests: [{ name: 'calls', from: 'client.prod', request: { url: 'http://probed/' }, expect: { status: 200 } }],
}

const service = (name: string, clusterIP: string, ports: readonly number[]): string => `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: prod }
spec: { clusterIP: ${clusterIP}, selector: { app: ${name} }, ports: [ ${ports.map((port) => `{ name: http-${port}, port: ${port}, targetPort: ${port} }`).join(', ')} ] }
---`
const rule = (host: string, pool: string): string => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${host}, namespace: prod }
spec: { host: ${host}, trafficPolicy: { connectionPool: { ${pool} } } }
---`
const { documents } = readDocuments(`
apiVersion: weft.dev/v1
kind: MeshConfig
metadata: { name: default }
spec: { tcpKeepalive: { time: 1s, interval: 4s, probes: 1 } }
---
${service('probed', '10.96.0.1', [8080])}${service('plain', '10.96.0.2', [8080])}${service('hasty', '10.96.0.3', [8080])}${service('patient', '10.96.0.4', [8080])}${service('order', '10.96.0.5', [8080, 8081, 8082, 8083])}${service('cart', '10.96.0.6', [8080, 8081])}
${rule('probed', 'tcp: { tcpKeepalive: { time: 1s, interval: 3s, probes: 2 } }')}
${rule('hasty', 'http: { h2UpgradePolicy: UPGRADE, http2KeepAlive: { interval: 1s, timeout: 8s } }')}
${rule('patient', 'http: { h2UpgradePolicy: UPGRADE, http2KeepAlive: { interval: 1s, timeout: 300s } }')}
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: order, namespace: prod }
spec:
  workloadSelector: { labels: { app: order } }
  ingress:
  - { port: { number: 8080, protocol: HTTP, name: http }, connectionPool: { tcp: { tcpKeepalive: { time: 1s, interval: 3s, probes: 2 } } } }
  - { port: { number: 8081, protocol: HTTP, name: http }, connectionPool: { tcp: { connectTimeout: 300ms } } }
  - { port: { number: 8082, protocol: HTTP, name: http } }
  - { port: { number: 8083, protocol: HTTP, name: http }, connectionPool: { tcp: { connectTimeout: 500ms }, http: { maxRetries: 1 } } }
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: cart, namespace: prod }
spec:
  workloadSelector: { labels: { app: cart } }
  inboundConnectionPool: { tcp: { connectTimeout: 500ms, tcpKeepalive: { time: 1s, interval: 4s, probes: 1 } }, http: { maxRetries: 1 } }
`, 'vanishing-peers')
const objects = documents.map(({ value }): ResourceObject => {
  const { object, faults } = parseObject(value, { defaultNamespace: 'default' })
  assert.ok(object !== undefined && faults.every((one) => one.severity !== 'error'), JSON.stringify(faults))
  return object
})

/** A host of the case, and its kernel. */
class Kernel {
  readonly #live: LiveCase
  readonly #address: string
  /** Its table of connections, `net.ipv4`'s. */
  readonly #table: string

  constructor(live: LiveCase, address: string) {
    this.#live = live
    this.#address = address
    const [process] = /\/proc\/\d+/.exec(live.host(address).command(['true']).join(' ')) ?? []
    this.#table = `${process}/net/tcp`
    this.#run(['nft', '-f', '-'], 'table ip weft_lost { chain out { type filter hook output priority 0; policy accept; }; }')
  }

  /** From now on nothing arrives of what is said to a port of an address, on one connection of those that there are; what is lost is counted apart from resets. */
  lose(to: string, port: number, from?: number): void {
    const which = `ip daddr ${to} tcp dport ${port}${from === undefined ? '' : ` tcp sport ${from}`}`
    this.#run(['nft', '-f', '-'], `add rule ip weft_lost out ${which} tcp flags & rst == 0 counter drop comment "${to}:${port} ${from ?? 'any'}"\nadd rule ip weft_lost out ${which} drop`)
  }

  /** How many packets were lost by such a rule. */
  lost(to: string, port: number, from?: number): number {
    const { nftables } = JSON.parse(this.#run(['nft', '-j', 'list', 'table', 'ip', 'weft_lost'])) as { nftables: readonly { rule?: { comment?: string; expr: readonly { counter?: { packets: number } }[] } }[] }
    return nftables.flatMap((one) => (one.rule?.comment === `${to}:${port} ${from ?? 'any'}` ? one.rule.expr.map((part) => part.counter?.packets ?? 0) : [])).reduce((sum, count) => sum + count, 0)
  }

  /** Connections of this host that stand to a port of an address: the local port, how many probes had no answer, and when the next is due. */
  connections(to: string, port: number): { readonly local: number; readonly unanswered: number; readonly nextInMs: number }[] {
    return readFileSync(this.#table, 'utf8').split('\n').slice(1).flatMap((line) => {
      const [, own = '', remote, state, , timer = '', , , unanswered = ''] = line.trim().split(/\s+/)
      return remote === hexOf(to, port) && state === ESTABLISHED ? [{ local: Number.parseInt(own.slice(-4), 16), unanswered: Number(unanswered), nextInMs: 10 * Number.parseInt(timer.slice(3), 16) }] : []
    })
  }

  #run(words: readonly [string, ...string[]], input = ''): string {
    const [command, ...rest] = this.#live.host(this.#address).command(words)
    const { status, stdout, stderr, error } = spawnSync(command, rest, { input, encoding: 'utf8' })
    if (error !== undefined) throw error
    assert.equal(status, 0, stderr)
    return stdout
  }
}

/** As `/proc/net/tcp` has it. */
const hexOf = (address: string, port: number): string => [...address.split('.').reverse(), ''].map((one) => (one === '' ? `:${port.toString(16).toUpperCase().padStart(4, '0')}` : Number(one).toString(16).toUpperCase().padStart(2, '0'))).join('')

async function until<Value>(look: () => Value | undefined, what: string): Promise<Value> {
  for (const deadlineMs = performance.now() + WAIT_MS; performance.now() < deadlineMs; ) {
    const found = look()
    if (found !== undefined) return found
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`never came: ${what}`)
}

async function partsOf(t: TestContext, engine: 'weft' | 'envoy'): Promise<EngineParts> {
  if (engine === 'envoy') return { kind: 'envoy', binary: await installEnvoy() }
  const folder = await mkdtemp(path.join(tmpdir(), 'weft-vanishing-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return { kind: 'weft', ...(await bundleProxies({ outDir: folder })) }
}

describe('a peer that is there no more is given up as the mesh, a rule and a Sidecar say', { concurrency: 2 }, () => {
  for (const engine of ['weft', 'envoy'] as const) test(engine, { concurrency: 3 }, (t) => givesUp(t, engine))
})

async function givesUp(t: TestContext, engine: 'weft' | 'envoy'): Promise<void> {
  installTools()
  const plane = await CaseControlPlane.start(systemDoors)
  t.after(() => plane.close())
  const live = await LiveCase.start(systemDoors, plane, await partsOf(t, engine), world, objects, { captured: true })
  t.after(() => live.stop())
  assert.deepEqual(live.rejections(), [])
  const [client, order, cart] = ['198.18.0.1', '198.18.0.6', '198.18.0.7'].map((address) => new Kernel(live, address))
  assert.ok(client !== undefined && order !== undefined && cart !== undefined)

  const call = (host: string, port = 8080): Promise<Answer> => send(routeOf(live, { name: host, from: 'client.prod', request: { url: `http://${host}:${port}/`, headers: { 'user-agent': `${host}:${port}` } }, expect: { status: 200 } }).call, undefined, WAIT_MS)
  const statusOf = (answer: Answer): number | string => (answer.kind === 'answer' ? answer.status : answer.why)

  /** A connection on which a request was answered, and which is kept. */
  async function kept(kernel: Kernel, host: string, to: string): Promise<number> {
    assert.equal(statusOf(await call(host)), 200, host)
    return (await until(() => kernel.connections(to, 8080)[0], `a connection to ${host}`)).local
  }

  /** It ends after so many probes without an answer, the second of which would have come after so long. */
  async function probed(kernel: Kernel, host: string, to: string, wanted: { readonly everyMs: number; readonly probes: number }): Promise<void> {
    const local = await kept(kernel, host, to)
    kernel.lose(to, 8080, local)
    const dueInMs: number[] = []
    await until(() => {
      const line = kernel.connections(to, 8080).find((one) => one.local === local)
      if (line !== undefined && line.unanswered > 0) dueInMs.push(line.nextInMs)
      return line === undefined ? true : undefined
    }, `the end of the connection to ${host}`)
    assert.equal(kernel.lost(to, 8080, local), wanted.probes, `probes of ${host}`)
    // Whoever was kept from looking meanwhile looks at another.
    if (dueInMs.length === 0) return probed(kernel, host, to, wanted)
    assert.ok(dueInMs.every((one) => one <= wanted.everyMs), `the next probe of ${host} is due in ${dueInMs.join(', ')} ms`)
  }

  await Promise.all([
    t.test('after so many probes, each so long after the one before', async () => {
      await Promise.all([
        probed(client, 'probed', '198.18.0.2', { everyMs: 3000, probes: 2 }),
        probed(client, 'plain', '198.18.0.3', { everyMs: 4000, probes: 1 }),
        probed(order, 'order', '198.18.0.6', { everyMs: 3000, probes: 2 }),
        probed(cart, 'cart', '198.18.0.7', { everyMs: 4000, probes: 1 }),
      ])
    }),
    t.test('when a PING has no answer for so long', async () => {
      const patient = await kept(client, 'patient', '198.18.0.5')
      client.lose('198.18.0.5', 8080, patient)
      await until(() => (client.lost('198.18.0.5', 8080, patient) > 0 ? true : undefined), 'a PING')
      // Its own is lost later, so that it would end later if the rules did nothing.
      const hasty = await kept(client, 'hasty', '198.18.0.4')
      client.lose('198.18.0.4', 8080, hasty)
      const stands = (to: string, local: number): boolean => client.connections(to, 8080).some((one) => one.local === local)
      const patientStands = await until(() => (stands('198.18.0.4', hasty) ? undefined : [stands('198.18.0.5', patient)]), 'the end of the connection whose PINGs are lost')
      assert.deepEqual(patientStands, [true])
    }),
    t.test('where no connection comes about within its time, and then for no more than one attempt at a time', async () => {
      const ends: string[] = []
      const ended = async (host: string, port: number): Promise<void> => {
        const status = statusOf(await call(host, port))
        ends.push(`${host}:${port} ${status}`)
      }
      for (const port of [8081, 8082, 8083]) order.lose('198.18.0.6', port)
      cart.lose('198.18.0.7', 8081)
      // Whom nothing bounds waits for the 10 s that are usual.
      void ended('order', 8082)
      await until(() => (order.lost('198.18.0.6', 8082) > 0 ? true : undefined), 'an attempt to connect')
      await Promise.all([ended('order', 8081), ended('cart', 8081)])
      assert.deepEqual(ends.toSorted(), ['cart:8081 503', 'order:8081 503'])
      for (const [host, port] of [['order', 8083], ['cart', 8081]] as const) {
        const before = live.proxy(`${host}-1.prod`)?.linesSoFar
        await Promise.all(Array.from({ length: CALLS }, () => call(host, port)))
        const lines = await live.proxy(`${host}-1.prod`)?.logged((line) => line['user_agent'] === `${host}:${port}`, CALLS, WAIT_MS, before)
        const flags = (lines ?? []).map((line) => String(line['response_flags']))
        // Of those that fail at one time most are not tried again, and say so; where nothing bounds them each is, until its own retries are spent (URX).
        assert.ok(flags.includes('UO,UF'), `${host}: ${flags.join(' ')}`)
      }
    }),
  ])
}
