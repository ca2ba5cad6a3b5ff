import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startPostgres } from '#test/parts/postgres.ts'

/**
 * `npm run bench -- api [--database pglite|postgres] [--resources 1000] [--list 10000] [--watchers 1000] [--seconds 5]`: the configuration API of a control plane in a process of its own, over loopback HTTP:
 * one folder applied at once, single writes, a list, and one write told to many watchers. Each on PGlite and on Postgres.
 */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: { database: { type: 'string' }, resources: { type: 'string', default: '1000' }, list: { type: 'string', default: '10000' }, watchers: { type: 'string', default: '1000' }, seconds: { type: 'string', default: '5' } } })
  const sizes = { resources: Number(values.resources), list: Number(values.list), watchers: Number(values.watchers), seconds: Number(values.seconds) }
  for (const database of values.database === undefined ? ['pglite', 'postgres'] : [values.database]) {
    const at = await openDatabase(database)
    try {
      await measure(database, at.url, sizes)
    } finally {
      await at.end()
    }
  }
}

async function openDatabase(name: string): Promise<{ url: string; end(): Promise<void> }> {
  if (name === 'postgres') {
    const postgres = await startPostgres()
    return { url: await postgres.createDatabase('bench'), end: () => postgres.stop() }
  }
  const folder = await mkdtemp(join(tmpdir(), 'weft-bench-'))
  return { url: `pglite:${folder}`, end: () => rm(folder, { recursive: true, force: true }) }
}

interface Sizes {
  readonly resources: number
  readonly list: number
  readonly watchers: number
  readonly seconds: number
}

const KEYS = 16

async function measure(database: string, url: string, sizes: Sizes): Promise<void> {
  const server = fork(fileURLToPath(new URL('./api/server.ts', import.meta.url)), [url, String(KEYS)], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  try {
    const { port, keys } = await firstLine(server)
    const ask = asker(port, keys)
    const print = (what: string, figure: string): void => console.log(`${database.padEnd(9)} ${what.padEnd(46)} ${figure}`)
    await ask('POST', '/api/v1/organizations/bench/meshes/bench/apply', { objects: [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'bench' } }] })

    const folder = { files: Array.from({ length: sizes.resources }, (_, at) => ({ name: `${at}.yaml`, text: routeYaml(`route-${at}`, '1s') })) }
    print(`apply of ${sizes.resources} new objects in one folder`, `${(await timed(() => ask('POST', APPLY, folder))).toFixed(0)} ms`)
    print('the same again, unchanged', `${(await timed(() => ask('POST', APPLY, folder))).toFixed(0)} ms`)

    print('single writes, one after another', `${(await writesPerSecond(ask, 1, sizes.seconds)).toFixed(0)} /s`)
    print('single writes, eight at a time', `${(await writesPerSecond(ask, 8, sizes.seconds)).toFixed(0)} /s`)

    for (let at = 0; at < sizes.list; at += 2000) await ask('POST', APPLY, { objects: Array.from({ length: Math.min(2000, sizes.list - at) }, (_, index) => configMap(`map-${at + index}`)) })
    const list = `/k8s/bench/bench/api/v1/namespaces/bench/configmaps`
    print(`list of ${sizes.list}, in one`, `${(await timed(() => ask('GET', list))).toFixed(0)} ms`)
    print(`list of ${sizes.list}, in pages of 500`, `${(await timed(() => inPages(ask, list))).toFixed(0)} ms`)

    const told = await fanOut(port, keys, ask, sizes.watchers)
    print(`one write told to ${sizes.watchers} watchers`, `first ${told.firstMs.toFixed(0)} ms, all ${told.lastMs.toFixed(0)} ms`)
    const { cpu, rssMiB } = await usage(server)
    print('the control plane, in all', `${((cpu.user + cpu.system) / 1e6).toFixed(1)} s of CPU, ${rssMiB.toFixed(0)} MiB resident`)
  } finally {
    server.disconnect()
    await new Promise((resolve) => server.once('exit', resolve))
  }
}

const APPLY = '/api/v1/organizations/bench/meshes/bench/apply'
const routeYaml = (name: string, timeout: string) => `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: ${name}, namespace: bench }\nspec: { hosts: [${name}.example.com], http: [{ timeout: ${timeout}, route: [{ destination: { host: ${name}.example.com } }] }] }\n`
const configMap = (name: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'bench' }, data: { value: name } })

type Ask = (method: string, path: string, body?: unknown) => Promise<string>

function asker(port: number, keys: readonly string[]): Ask {
  let turn = 0
  return async (method, path, body) => {
    const key = keys[(turn += 1) % keys.length] ?? ''
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers: { authorization: `Bearer ${key}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text.slice(0, 500)}`)
    return text
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now()
  await work()
  return performance.now() - startedMs
}

async function writesPerSecond(ask: Ask, lanes: number, seconds: number): Promise<number> {
  const startedMs = performance.now()
  let written = 0
  await Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      while (performance.now() - startedMs < seconds * 1000) {
        await ask('POST', APPLY, { objects: [{ ...configMap(`lane-${lane}`), data: { value: String(written) } }] })
        written += 1
      }
    }),
  )
  return written / ((performance.now() - startedMs) / 1000)
}

async function inPages(ask: Ask, path: string): Promise<void> {
  let next: string | undefined
  do {
    const page = JSON.parse(await ask('GET', `${path}?limit=500${next === undefined ? '' : `&continue=${encodeURIComponent(next)}`}`)) as { metadata: { continue?: string } }
    next = page.metadata.continue === '' ? undefined : page.metadata.continue
  } while (next !== undefined)
}

/** Opens watches from now on, writes once, and takes the time until the first and until the last of them has heard of it. */
async function fanOut(port: number, keys: readonly string[], ask: Ask, watchers: number): Promise<{ firstMs: number; lastMs: number }> {
  const base = '/k8s/bench/bench/api/v1/namespaces/bench/configmaps'
  const { metadata } = JSON.parse(await ask('GET', `${base}?limit=1`)) as { metadata: { resourceVersion: string } }
  const stop = new AbortController()
  const streams = await Promise.all(
    Array.from({ length: watchers }, (_, at) => fetch(`http://127.0.0.1:${port}${base}?watch=true&resourceVersion=${metadata.resourceVersion}`, { headers: { authorization: `Bearer ${keys[at % keys.length] ?? ''}` }, signal: stop.signal })),
  )
  const heard = streams.map(async (response) => {
    await response.body?.getReader().read()
    return performance.now()
  })
  const startedMs = performance.now()
  await ask('POST', APPLY, { objects: [{ ...configMap('told'), data: { value: String(startedMs) } }] })
  const times = (await Promise.all(heard)).sort((a, b) => a - b)
  stop.abort()
  return { firstMs: (times[0] ?? 0) - startedMs, lastMs: (times.at(-1) ?? 0) - startedMs }
}

async function firstLine(server: ChildProcess): Promise<{ port: number; keys: string[] }> {
  if (server.stdout === null) throw new Error('the server has no output')
  for await (const line of createInterface({ input: server.stdout })) return JSON.parse(line) as { port: number; keys: string[] }
  throw new Error('the server ended before it was ready')
}

function usage(server: ChildProcess): Promise<{ cpu: NodeJS.CpuUsage; rssMiB: number }> {
  return new Promise((resolve) => {
    server.once('message', (message) => resolve(message as { cpu: NodeJS.CpuUsage; rssMiB: number }))
    server.send('usage')
  })
}
