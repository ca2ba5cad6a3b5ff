import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { withoutKube } from '#test/parts/kube.ts'
import { ask, open } from '#test/kube/asking.ts'
import type { Question } from '#test/kube/asking.ts'
import { startKubePeer, startWeftPeer } from './api/peer.ts'
import type { Peer } from './api/peer.ts'

interface Sizes {
  readonly resources: number
  readonly list: number
  readonly watchers: number
  readonly seconds: number
}

/**
 * `npm run bench -- api [--peer pglite|postgres|kube] [--resources 1000] [--list 10000] [--watchers 1000] [--seconds 5]`: the configuration API in a process of its own, over loopback:
 * a folder applied by kubectl and, where there is one, by one request; single writes; a list; and one write told to many watchers.
 * On PGlite, on Postgres, and on the real API server of Kubernetes with definitions of the same kinds, in the same run.
 */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: { peer: { type: 'string' }, resources: { type: 'string', default: '1000' }, list: { type: 'string', default: '10000' }, watchers: { type: 'string', default: '1000' }, seconds: { type: 'string', default: '5' } } })
  const sizes = { resources: Number(values.resources), list: Number(values.list), watchers: Number(values.watchers), seconds: Number(values.seconds) }
  const folder = await writeFolder(sizes.resources)
  try {
    for (const name of values.peer === undefined ? ['pglite', 'postgres', 'kube'] : [values.peer]) {
      if (name === 'kube' && withoutKube !== false) {
        console.log(`kube      left out: ${withoutKube}`)
        continue
      }
      const peer = name === 'kube' ? await startKubePeer() : await startWeftPeer(name)
      try {
        await measure(peer, folder, sizes)
      } finally {
        await peer.end()
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function writeFolder(resources: number): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-bench-folder-'))
  for (let at = 0; at < resources; at += 1) await writeFile(join(folder, `${at}.yaml`), routeYaml(`route-${at}`))
  return folder
}

const NAMESPACES = '/api/v1/namespaces'
const MAPS = `${NAMESPACES}/bench/configmaps`
const ROUTES = '/apis/networking.istio.io/v1/namespaces/bench/virtualservices'
const routeYaml = (name: string) => `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: ${name}, namespace: bench }\nspec: { hosts: [${name}.example.com], http: [{ timeout: 1s, route: [{ destination: { host: ${name}.example.com } }] }] }\n`
const route = (name: string) => ({ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name, namespace: 'bench' }, spec: { hosts: [`${name}.example.com`], http: [{ route: [{ destination: { host: `${name}.example.com` } }] }] } })

async function measure(peer: Peer, folder: string, sizes: Sizes): Promise<void> {
  const print = (what: string, figure: string): void => console.log(`${peer.name.padEnd(9)} ${what.padEnd(50)} ${figure.padEnd(28)} load ${(loadavg()[0] ?? 0).toFixed(1)}`)
  const send = async (method: string, path: string, body?: unknown, type = 'application/json'): Promise<string> => {
    const question: Question = { method, path, headers: { ...peer.headers(), ...(body === undefined ? {} : { 'content-type': type }) }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) }
    const answer = await ask(peer.access, question)
    if (answer.code >= 300) throw new Error(`${method} ${path}: ${answer.code} ${answer.text.slice(0, 500)}`)
    return answer.text
  }
  await send('POST', NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'bench' } })
  if (peer.applyFolder !== undefined) {
    const { applyFolder } = peer
    print(`a folder of ${sizes.resources} new objects, one request`, ms(await timed(() => applyFolder(sizes.resources, routeYaml))))
    print('the same again, unchanged', ms(await timed(() => applyFolder(sizes.resources, routeYaml))))
    await send('DELETE', ROUTES)
  }
  print(`kubectl apply of a folder of ${sizes.resources} new objects`, ms(await timed(() => kubectl(peer, ['apply', '-f', folder]))))
  await send('POST', ROUTES, route('written'))
  print('single writes, one after another', `${(await writesPerSecond(send, 1, sizes.seconds)).toFixed(0)} /s`)
  print('single writes, eight at a time', `${(await writesPerSecond(send, 8, sizes.seconds)).toFixed(0)} /s`)
  await inLanes(16, sizes.list, (at) => send('POST', MAPS, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `map-${at}` }, data: { value: String(at) } }))
  print(`list of ${sizes.list}, in one`, ms(await timed(() => send('GET', MAPS))))
  print(`list of ${sizes.list}, in pages of 500`, ms(await timed(() => inPages(send))))
  const told = await fanOut(peer, send, sizes.watchers)
  print(`one write told to ${sizes.watchers} watchers`, `first ${ms(told.firstMs)}, all ${ms(told.lastMs)}`)
  print('the server, in all', await peer.usage())
}

const ms = (value: number): string => `${value.toFixed(0)} ms`

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now()
  await work()
  return performance.now() - startedMs
}

function kubectl(peer: Peer, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('kubectl', [...args, '--kubeconfig', peer.kubeconfig], { stdio: ['ignore', 'ignore', 'pipe'] })
    // Weft warns of what a mesh lacks, object by object: that is for people, and only the end is told here.
    let said = ''
    child.stderr.on('data', (text) => (said = `${said}${String(text)}`.slice(-2000)))
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`kubectl ended with ${code}: ${said}`))))
  })
}

type Send = (method: string, path: string, body?: unknown, type?: string) => Promise<string>

async function writesPerSecond(send: Send, lanes: number, seconds: number): Promise<number> {
  for (let lane = 0; lane < lanes; lane += 1) await send('PATCH', `${ROUTES}/lane-${lane}?fieldManager=bench&force=true`, route(`lane-${lane}`), 'application/apply-patch+yaml')
  const startedMs = performance.now()
  let written = 0
  await Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      while (performance.now() - startedMs < seconds * 1000) {
        await send('PATCH', `${ROUTES}/lane-${lane}`, { spec: { http: [{ timeout: `${written + 1}s`, route: [{ destination: { host: `lane-${lane}.example.com` } }] }] } }, 'application/merge-patch+json')
        written += 1
      }
    }),
  )
  return written / ((performance.now() - startedMs) / 1000)
}

async function inLanes(lanes: number, count: number, work: (at: number) => Promise<unknown>): Promise<void> {
  let next = 0
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      while (next < count) await work(next++)
    }),
  )
}

async function inPages(send: Send): Promise<void> {
  let next: string | undefined
  do {
    const page = JSON.parse(await send('GET', `${MAPS}?limit=500${next === undefined ? '' : `&continue=${encodeURIComponent(next)}`}`)) as { metadata: { continue?: string } }
    next = page.metadata.continue === '' ? undefined : page.metadata.continue
  } while (next !== undefined)
}

/** Opens watches from now on, writes once, and takes the time until the first and until the last of them has heard of it. */
async function fanOut(peer: Peer, send: Send, watchers: number): Promise<{ firstMs: number; lastMs: number }> {
  const { metadata } = JSON.parse(await send('GET', `${MAPS}?limit=1`)) as { metadata: { resourceVersion: string } }
  const streams = await Promise.all(Array.from({ length: watchers }, () => open(peer.access, { method: 'GET', path: `${MAPS}?watch=true&resourceVersion=${metadata.resourceVersion}`, headers: peer.headers() })))
  const heard = streams.map(async (stream) => {
    await stream.next()
    return performance.now()
  })
  const startedMs = performance.now()
  await send('POST', MAPS, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'told' }, data: { value: 'x' } })
  const times = (await Promise.all(heard)).sort((a, b) => a - b)
  for (const stream of streams) stream.close()
  return { firstMs: (times[0] ?? 0) - startedMs, lastMs: (times.at(-1) ?? 0) - startedMs }
}
