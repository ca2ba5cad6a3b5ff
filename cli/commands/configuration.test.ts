import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { kubeApi } from '#api/kube/app.ts'
import { restApi } from '#api/rest/app.ts'
import { kinds } from '#core/resource/registry.ts'
import { openApi, serveApp } from '#test/parts/api.ts'
import type { ApiUnderTest } from '#test/parts/api.ts'
import { stringify } from 'yaml'

let api: ApiUnderTest
let served: Awaited<ReturnType<typeof serveApp>>
let key = ''
const folder = mkdtempSync(path.join(tmpdir(), 'weft-cli-'))
const main = fileURLToPath(new URL('../main.ts', import.meta.url))

before(async () => {
  api = await openApi()
  const app = restApi(api.doors)
  app.route('/', kubeApi(api.doors))
  served = await serveApp(app)
  key = await api.key('owner')
})
after(async () => {
  await served.close()
  await api.close()
  rmSync(folder, { recursive: true, force: true })
})

interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

function weft(args: string[], env: Record<string, string> = {}, mesh = 'demo/shop'): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...args], { env: { ...process.env, WEFT_SERVER: served.url, WEFT_API_KEY: key, WEFT_MESH: mesh, NO_COLOR: '1', ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    let err = ''
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, out, err }))
  })
}

async function ok(args: string[], env?: Record<string, string>, mesh?: string): Promise<string> {
  const ran = await weft(args, env, mesh)
  assert.equal(ran.code, 0, `${args.join(' ')}: ${ran.err}${ran.out}`)
  return ran.out
}

const file = (name: string, text: string): string => {
  writeFileSync(path.join(folder, name), text)
  return path.join(folder, name)
}
const route = (timeout: string) => `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: orders, namespace: prod }\nspec: { hosts: [orders], http: [{ timeout: ${timeout}, route: [{ destination: { host: orders } }] }] }\n`
const base = () => file('base.yaml', `apiVersion: v1\nkind: Namespace\nmetadata: { name: prod }\n---\n${route('1s')}`)

test('a difference is shown before it is applied, and a rollback takes it back', async () => {
  await ok(['apply', '-f', base()])
  const changed = file('changed.yaml', route('9s'))
  assert.equal((await weft(['diff', '-f', base()])).out, '')
  const diff = await weft(['diff', '-f', changed])
  assert.equal(diff.code, 1, diff.err)
  assert.match(diff.out, /^-\s+timeout: 1s$/m)
  assert.match(diff.out, /^\+\s+timeout: 9s$/m)
  const revision = /revision (\d+)/.exec(await ok(['apply', '-f', base()]))?.[1] ?? ''
  await ok(['apply', '-f', changed, '--message', 'slower'])
  assert.match((await weft(['diff', '--revision', revision])).out, /^\+\s+timeout: 9s$/m)
  assert.match(await ok(['rollback', '--to', revision, 'vs/orders', '-n', 'prod']), /virtualservice.networking.istio.io\/orders configured\nrevision \d+/)
  assert.equal((await weft(['diff', '-f', base()])).code, 0)
  assert.match(await ok(['history', 'vs/orders', '-n', 'prod']), /rollback to/)
})

test('the history tells who changed what and why, with the difference that each change made', async () => {
  await ok(['apply', '-f', file('h1.yaml', `apiVersion: v1\nkind: Namespace\nmetadata: { name: prod }\n---\n${route('1s').replace('name: orders', 'name: told')}`), '--message', 'begin'])
  await ok(['apply', '-f', file('h2.yaml', route('2s').replace('name: orders', 'name: told')), '--message', 'twice as long'])
  await ok(['delete', 'vs/told', '-n', 'prod'])
  const told = await ok(['history', 'vs/told', '-n', 'prod', '--diff'])
  assert.match(told, /revision \d+ {2}owner-key {2}\S+Z {2}twice as long\n--- VirtualService\/prod\/told \(revision \d+\)\n\+\+\+ VirtualService\/prod\/told \(revision \d+\)\n(.*\n)*?- +timeout: 1s\n(.*\n)*?\+ +timeout: 2s\n/)
  const [deletion = '', , creation = ''] = told.split(/^(?=revision )/m)
  assert.ok(deletion.split('\n').filter((line) => line.startsWith('-')).length > 5 && !/^\+[^+]/m.test(deletion))
  assert.match(creation, /begin/)
  assert.ok(!/^-[^-]/m.test(creation))
  const one = JSON.parse(await ok(['history', 'vs/told', '-n', 'prod', '--limit', '1', '-o', 'json'])) as { operation: string; push: unknown }[]
  assert.deepEqual(one.map(({ operation, push }) => [operation, push]), [['delete', null]])
})

test('the impact of a change is told with its difference, and stored nothing', async () => {
  await ok(['apply', '-f', base()])
  const before = await ok(['history', '-o', 'json'])
  const told = await weft(['diff', '-f', file('impact.yaml', route('8s')), '--impact'])
  assert.equal(told.code, 1, told.err)
  assert.match(told.out, /^\+\s+timeout: 8s$/m)
  assert.match(told.out, /^1 object of 1 would change, and with it resources of 0 of 0 proxies$/m)
  assert.match(told.out, /^no calls were seen lately$/m)
  const json = await weft(['diff', '-f', base(), '--impact', '-o', 'json'])
  assert.equal(json.code, 0, json.err)
  assert.deepEqual((JSON.parse(json.out) as { objects: { verdict: string }[] }).objects.map((one) => one.verdict), ['unchanged', 'unchanged'])
  assert.equal(await ok(['history', '-o', 'json']), before)
  assert.equal((await weft(['diff', '--revision', '1', '--impact'])).code, 2)
})

test('a difference since a revision can be of one object', async () => {
  const revision = /revision (\d+)/.exec(await ok(['apply', '-f', base()]))?.[1] ?? ''
  await ok(['apply', '-f', file('two.yaml', `${route('3s')}---\n${route('3s').replace('name: orders', 'name: other')}`)])
  assert.match((await weft(['diff', '--revision', revision])).out, /VirtualService\/prod\/other/)
  const one = await weft(['diff', '--revision', revision, 'vs/orders', '-n', 'prod'])
  assert.match(one.out, /VirtualService\/prod\/orders/)
  assert.doesNotMatch(one.out, /other/)
})

test('export, import and export again leave no difference', async () => {
  const all = kinds.map((kind) => kind.example).filter((object) => object.kind !== 'Secret')
  const namespaces = new Set(['default', 'prod', ...all.flatMap((object) => object.metadata.namespace ?? [])])
  await ok(['apply', '-f', file('all.yaml', [...[...namespaces].map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })), ...all].map((object) => stringify(object)).join('---\n'))])
  const first = path.join(folder, 'first')
  const second = path.join(folder, 'second')
  await ok(['export', first])
  await api.doors.createMesh(api.organization.id, 'copy', 'cluster.local')
  await ok(['import', first], {}, 'demo/copy')
  await ok(['export', second], {}, 'demo/copy')
  assert.deepEqual(readdirSync(first, { recursive: true }).sort(), readdirSync(second, { recursive: true }).sort())
  assert.ok(readdirSync(first, { recursive: true }).filter((name) => String(name).endsWith('.yaml')).length >= all.length)
  const diff = await weft(['diff', '-f', second])
  assert.deepEqual([diff.code, diff.out], [0, ''], diff.err)
  cpSync(first, path.join(folder, 'kept'), { recursive: true })
  assert.equal((await weft(['export', first])).code, 2)
})

test('an object is described with its last change, what is wrong with it and what it says', async () => {
  await ok(['apply', '-f', base(), '--message', 'for the parade'])
  const told = await ok(['describe', 'vs', 'orders', '-n', 'prod'])
  assert.match(told, /^prod\/orders\n {2}Kind: +VirtualService \(networking\.istio\.io\/v1\)$/m)
  assert.match(told, /^ {2}Last change: +revision \d+, \w+ by owner-key, \d+\w ago/m)
  assert.match(told, /^CARRIED BY\n {2}no proxy that is connected here$/m)
  assert.match(told, /^SPEC\n {2}hosts:$/m)
  const json = JSON.parse(await ok(['describe', 'vs/orders', '-n', 'prod', '-o', 'json'])) as { object: { metadata: { name: string } }; lastChange: { author: string } }
  assert.deepEqual([json.object.metadata.name, json.lastChange.author], ['orders', 'owner-key'])
  assert.match(await ok(['describe', 'namespace', 'istio-system']), /^istio-system\n {2}Kind: +Namespace \(v1\)$/m)
  const { code, err } = await weft(['describe', 'vs', 'nobody', '-n', 'prod'])
  assert.deepEqual([code, err.trim()], [4, 'error: "VirtualService/prod/nobody": there is no such object'])
  assert.equal((await weft(['describe', 'vs'])).code, 2)
})

test('an object is changed in an editor, and left as it is when the editor changes nothing', async () => {
  await ok(['apply', '-f', base()])
  assert.match(await ok(['edit', 'vs/orders', '-n', 'prod'], { WEFT_EDITOR: "sed -i 's/timeout: 1s/timeout: 7s/'" }), /edited/)
  assert.match(await ok(['get', 'vs/orders', '-n', 'prod', '-o', 'yaml']), /timeout: 7s/)
  const same = await weft(['edit', 'vs/orders', '-n', 'prod'], { WEFT_EDITOR: 'true' })
  assert.deepEqual([same.code, same.out], [0, ''])
  const wrong = await weft(['edit', 'vs/orders', '-n', 'prod'], { WEFT_EDITOR: "sed -i 's/timeout: 7s/timeout: soon/'" })
  assert.equal(wrong.code, 1)
  assert.match(wrong.err, /timeout/)
})
