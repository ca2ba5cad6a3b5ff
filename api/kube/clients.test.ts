import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { kubeconfigText } from '#core/contract/kubeconfig.ts'
import type { ProxyStatus } from '#core/contract/proxy-status.ts'
import { openApi, serveApp } from '#test/parts/api.ts'
import type { ApiUnderTest } from '#test/parts/api.ts'
import { Conditions } from '../observe/conditions.ts'
import type { MeshEvent } from '../rest/doors.ts'
import { kubeApi } from './app.ts'

// What clients do beyond single requests: waiting, editing, watching, and the sequences of Terraform's kubernetes_manifest and of Argo CD's sync.

const skip = spawnSync('kubectl', ['version', '--client']).status === 0 ? false : 'kubectl is not in PATH'
let api: ApiUnderTest
let served: { url: string; close(): Promise<void> }
let folder = ''
let key = ''
let proxies: ProxyStatus[] = []
const followers = new Set<(event: MeshEvent) => void>()

before(async () => {
  // Each look is later than the last one: none is answered from a glance before.
  let lookMs = 0
  const conditions = new Conditions(() => proxies, () => (lookMs += 1000))
  api = await openApi({
    proxies: () => proxies,
    statusOf: (meshId, object) => conditions.statusOf(meshId, object),
    follow(_meshId, listener) {
      followers.add(listener)
      listener({ event: 'proxies', data: proxies })
      return () => void followers.delete(listener)
    },
  })
  served = await serveApp(kubeApi(api.doors))
  folder = await mkdtemp(join(tmpdir(), 'weft-clients-'))
  key = await api.key('owner')
  await writeFile(join(folder, 'kubeconfig'), kubeconfigText(served.url, 'demo', 'shop', key))
  assert.equal((await ask('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'prod' } })).status, 201)
})
after(async () => {
  await served.close()
  await api.close()
  await rm(folder, { recursive: true, force: true })
})

const proxy = (syncedRevision: number): ProxyStatus => ({ node: { id: 'a', name: 'a', namespace: 'prod', type: 'sidecar', engine: 'weft', version: '', cluster: '' }, identity: undefined, connectedAtMs: 0, syncedRevision, viewRevision: syncedRevision, types: [] })
function acknowledge(revision: number): void {
  proxies = [proxy(revision)]
  for (const listener of followers) listener({ event: 'proxies', data: proxies })
}

interface Answer {
  readonly status: number
  readonly headers: Headers
  // Bodies of a foreign API, read field by field.
  readonly body: { kind?: string; metadata: { resourceVersion: string; name: string; generation: number; managedFields?: { manager: string }[]; labels?: Record<string, string> }; spec?: { hosts?: string[]; http?: unknown[] }; status?: { conditions?: { type: string; status: string }[] }; items: Answer['body'][]; message?: string; reason?: string }
}

async function ask(method: string, path: string, body?: unknown, type = 'application/json'): Promise<Answer> {
  const response = await fetch(`${served.url}/k8s/demo/shop${path}`, { method, headers: { authorization: `Bearer ${key}`, accept: 'application/json', ...(body === undefined ? {} : { 'content-type': type }) }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  return { status: response.status, headers: response.headers, body: (await response.json()) as Answer['body'] }
}

const ROUTES = '/apis/networking.istio.io/v1/namespaces/prod/virtualservices'
const route = (name: string, timeout = '1s', extra: object = {}) => ({ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name, namespace: 'prod', ...extra }, spec: { hosts: [name], http: [{ timeout, route: [{ destination: { host: name } }] }] } })

function kubectl(args: readonly string[], env: Record<string, string> = {}): { done: Promise<{ code: number | null; out: string; err: string }>; seen(text: string): Promise<void>; end(): void } {
  const child = spawn('kubectl', [...args, '--kubeconfig', join(folder, 'kubeconfig'), '--cache-dir', join(folder, 'cache')], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, HOME: folder, ...env } })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  const done = new Promise<{ code: number | null; out: string; err: string }>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, out, err }))
  })
  return {
    done,
    async seen(text) {
      while (!out.includes(text)) await new Promise((resolve) => child.stdout.once('data', resolve))
    },
    end: () => void child.kill(),
  }
}

test('kubectl waits until every proxy has acknowledged', { skip }, async () => {
  proxies = [proxy(0)]
  const { body } = await ask('POST', ROUTES, route('waited'))
  assert.deepEqual(body.status?.conditions?.map((one) => `${one.type} ${one.status}`), ['Accepted True', 'Programmed False'])
  const accepted = await kubectl(['-n', 'prod', 'wait', '--for=condition=Accepted', 'virtualservice/waited', '--timeout=20s']).done
  assert.equal(accepted.code, 0, accepted.err)
  const waiting = kubectl(['-n', 'prod', 'wait', '--for=condition=Programmed', 'virtualservice/waited', '--timeout=30s'])
  while (followers.size === 0) await new Promise((resolve) => setImmediate(resolve))
  acknowledge(Number(body.metadata.resourceVersion))
  const { code, out, err } = await waiting.done
  assert.equal(code, 0, err)
  assert.match(out, /condition met/)
  assert.equal((await ask('GET', `${ROUTES}/waited/status`)).body.status?.conditions?.[1]?.status, 'True')
})

test('kubectl edits with an editor, and prints what nothing acts on yet', { skip }, async () => {
  await ask('POST', ROUTES, route('edited'))
  const { code, out, err } = await kubectl(['-n', 'prod', 'edit', 'virtualservice/edited'], { KUBE_EDITOR: `sed -i 's/timeout: 1s/timeout: 8s/'` }).done
  assert.equal(code, 0, err)
  assert.match(out, /edited$/m)
  const [first] = ((await ask('GET', `${ROUTES}/edited`)).body.spec?.http ?? []) as { timeout: string }[]
  assert.equal(first?.timeout, '8s')
  // `sourceSubnet` is a field that Istio's own reference calls not in use.
  const spec = { hosts: ['db.example.com'], tcp: [{ match: [{ port: 5432, sourceSubnet: '10.0.0.0/8' }], route: [{ destination: { host: 'db.example.com' } }] }] }
  await writeFile(join(folder, 'inert.json'), JSON.stringify({ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'inert', namespace: 'prod' }, spec }))
  const inert = await kubectl(['apply', '-f', join(folder, 'inert.json')]).done
  assert.equal(inert.code, 0, inert.err)
  assert.match(inert.err, /Warning: .*sourceSubnet.*nothing acts on this field yet/)
})

test('kubectl get -w prints objects as they change', { skip }, async () => {
  const watching = kubectl(['-n', 'prod', 'get', 'virtualservices', '-w'])
  await watching.seen('NAME')
  await ask('POST', ROUTES, route('watched'))
  await watching.seen('watched')
  watching.end()
  await watching.done
})

test("the sequence of Terraform's kubernetes_manifest: dry run, apply with a field manager, read, wait, change, delete", async () => {
  const apply = (object: object, query: string) => ask('PATCH', `${ROUTES}/planned?fieldManager=Terraform${query}`, object, 'application/apply-patch+yaml')
  assert.equal((await ask('GET', '/openapi/v3')).status, 200)
  assert.equal((await ask('GET', `${ROUTES}/planned`)).status, 404)
  assert.equal((await apply(route('planned'), '&dryRun=All&force=false')).status, 201)
  assert.equal((await ask('GET', `${ROUTES}/planned`)).status, 404)
  const made = await apply(route('planned'), '&force=false')
  assert.equal(made.status, 201)
  assert.deepEqual(made.body.metadata.managedFields?.map((one) => one.manager), ['Terraform'])
  const changed = await apply(route('planned', '2s'), '&force=false')
  assert.deepEqual([changed.status, changed.body.metadata.generation], [200, 2])
  const other = await ask('PATCH', `${ROUTES}/planned?fieldManager=other`, route('planned', '3s'), 'application/apply-patch+yaml')
  assert.deepEqual([other.status, other.body.reason], [409, 'Conflict'])
  assert.match(other.body.message ?? '', /Terraform/)
  assert.equal((await ask('DELETE', `${ROUTES}/planned`, { kind: 'DeleteOptions', apiVersion: 'v1', propagationPolicy: 'Background' })).status, 200)
  assert.equal((await ask('GET', `${ROUTES}/planned`)).status, 404)
})

test("the sequence of Argo CD's sync: discovery, list and watch, dry run, merge patch with its label, status, prune", async () => {
  for (const path of ['/version', '/api', '/apis', '/api/v1', '/apis/networking.istio.io/v1']) assert.equal((await ask('GET', path)).status, 200, path)
  const listed = await ask('GET', '/apis/networking.istio.io/v1/virtualservices?limit=500&resourceVersion=0')
  assert.ok(Array.isArray(listed.body.items))
  const object = route('synced', '1s', { labels: { 'app.kubernetes.io/instance': 'shop' } })
  assert.equal((await ask('POST', `${ROUTES}?dryRun=All&fieldManager=argocd-controller`, object)).status, 201)
  assert.equal((await ask('POST', `${ROUTES}?fieldManager=argocd-controller`, object)).status, 201)
  const patched = await ask('PATCH', `${ROUTES}/synced?fieldManager=argocd-controller`, { spec: { http: [{ timeout: '4s', route: [{ destination: { host: 'synced' } }] }] } }, 'application/merge-patch+json')
  assert.equal(patched.body.metadata.generation, 2)
  assert.ok((patched.body.status?.conditions?.length ?? 0) > 0)
  const mine = await ask('GET', '/apis/networking.istio.io/v1/virtualservices?labelSelector=app.kubernetes.io%2Finstance%3Dshop')
  assert.deepEqual(mine.body.items.map((one) => one.metadata.name), ['synced'])
  assert.equal((await ask('DELETE', `${ROUTES}/synced`, { propagationPolicy: 'Foreground' })).status, 200)
})
