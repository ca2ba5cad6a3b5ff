import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { kubeconfigText } from '#core/contract/kubeconfig.ts'
import { openApi, serveApp } from '#test/parts/api.ts'
import type { ApiUnderTest } from '#test/parts/api.ts'
import { kubeApi } from './app.ts'

// The real kubectl against the real server: what it can do, an operator can.

const present = spawnSync('kubectl', ['version', '--client']).status === 0
const skip = present ? false : 'kubectl is not in PATH'
let api: ApiUnderTest
let served: { url: string; close(): Promise<void> }
let folder = ''
const kubeconfigFor = (key: string): string => kubeconfigText(served.url, 'demo', 'shop', key)

interface Answer {
  readonly code: number
  readonly out: string
  readonly err: string
}

function kubectl(args: readonly string[], input?: string, kubeconfig = 'kubeconfig'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const child = spawn('kubectl', [...args, '--kubeconfig', join(folder, kubeconfig), '--cache-dir', join(folder, 'cache')], { stdio: 'pipe', env: { ...process.env, HOME: folder } })
    let out = ''
    let err = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code: code ?? -1, out, err }))
    child.stdin.end(input ?? '')
  })
}

async function ok(args: readonly string[], input?: string): Promise<string> {
  const answer = await kubectl(args, input)
  assert.equal(answer.code, 0, `kubectl ${args.join(' ')}\n${answer.out}\n${answer.err}`)
  return answer.out
}

before(async () => {
  if (!present) return
  api = await openApi()
  served = await serveApp(kubeApi(api.doors))
  folder = await mkdtemp(join(tmpdir(), 'weft-kubectl-'))
  await writeFile(join(folder, 'kubeconfig'), kubeconfigFor(await api.key('owner')))
  await writeFile(join(folder, 'viewer'), kubeconfigFor(await api.key('viewer')))
  const stranger = await api.store.createOrganization('stranger')
  await writeFile(join(folder, 'stranger'), kubeconfigFor(await api.key('owner', { organization: stranger })))
})
after(async () => {
  if (!present) return
  await served.close()
  await api.close()
  await rm(folder, { recursive: true, force: true })
})

const virtualService = (weights: readonly [number, number], extra = '') => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: order-service
  namespace: prod
spec:
  hosts: [order-service]
  http:
  - route:
    - destination: { host: order-service, subset: v1 }
      weight: ${weights[0]}
    - destination: { host: order-service, subset: v2 }
      weight: ${weights[1]}
${extra}`
const namespaceProd = 'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: prod\n'

test('the shop applies as it is, and then is unchanged', { skip }, async () => {
  const own = fileURLToPath(new URL('../../examples/shop/config', import.meta.url))
  const shared = fileURLToPath(new URL('../../../shared/data/shop', import.meta.url))
  for (const from of [own, shared].filter((path) => existsSync(path))) {
    const files = readdirSync(from).filter((name) => name.endsWith('.yaml')).sort()
    for (const file of files) {
      await ok(['apply', '-f', join(from, file)])
      const again = await ok(['apply', '-f', join(from, file)])
      assert.doesNotMatch(again, /created|configured/, file)
    }
  }
  assert.deepEqual(api.unexpected, [])
})

test('get prints tables, wide ones and YAML', { skip }, async () => {
  await ok(['apply', '-f', '-'], namespaceProd)
  await ok(['apply', '-f', '-'], virtualService([90, 10]))
  assert.match(await ok(['get', 'virtualservices', '-n', 'prod']), /NAME +GATEWAYS +HOSTS +AGE\n(.*\n)*order-service +\["order-service"\] +\d+s/)
  assert.match(await ok(['get', 'vs,dr,gw', '-A', '-o', 'wide']), /NAMESPACE +NAME/)
  assert.match(await ok(['get', 'vs', 'order-service', '-n', 'prod', '-o', 'yaml']), /weight: 90/)
  assert.match(await ok(['get', 'ns']), /default +Active[\s\S]*istio-system +Active[\s\S]*prod +Active|prod +Active[\s\S]*default/)
  assert.match(await ok(['api-resources']), /virtualservices +vs +networking\.istio\.io\/v1 +true +VirtualService/)
})

test('an older version of a group answers the same object', { skip }, async () => {
  assert.match(await ok(['get', 'virtualservices.v1alpha3.networking.istio.io', 'order-service', '-n', 'prod', '-o', 'yaml']), /apiVersion: networking\.istio\.io\/v1alpha3/)
})

test('explain knows every field', { skip }, async () => {
  assert.match(await ok(['explain', 'virtualservice.spec.http']), /retries[\s\S]*corsPolicy|corsPolicy[\s\S]*retries/)
  assert.match(await ok(['explain', 'peerauthentication.spec.mtls.mode']), /STRICT/)
  assert.match(await ok(['explain', 'service.spec.ports.targetPort']), /targetPort/)
  assert.match(await ok(['explain', 'destinationrule', '--recursive']), /consecutive5xxErrors/)
})

test('patches of each kind change what they say', { skip }, async () => {
  await ok(['patch', 'vs', 'order-service', '-n', 'prod', '--type', 'merge', '-p', '{"metadata":{"labels":{"a":"b"}}}'])
  await ok(['patch', 'vs', 'order-service', '-n', 'prod', '--type', 'json', '-p', '[{"op":"replace","path":"/spec/http/0/route/0/weight","value":80}]'])
  await ok(['label', 'vs', 'order-service', '-n', 'prod', 'team=orders'])
  await ok(['annotate', 'ns', 'default', 'note=here'])
  const object = JSON.parse(await ok(['get', 'vs', 'order-service', '-n', 'prod', '-o', 'json']))
  assert.equal(object.spec.http[0].route[0].weight, 80)
  assert.deepEqual(object.metadata.labels, { a: 'b', team: 'orders' })
  assert.match(await ok(['get', 'vs', '-n', 'prod', '-l', 'team in (orders,x),!other', '-o', 'name']), /order-service/)
  assert.equal(await ok(['get', 'vs', '-n', 'prod', '-l', 'team=none', '-o', 'name']), '')
})

test('a Service gains and loses ports by strategic merge', { skip }, async () => {
  const service = (ports: string) => `apiVersion: v1\nkind: Service\nmetadata: { name: multi, namespace: prod }\nspec:\n  selector: { app: multi }\n  ports:\n${ports}`
  const port = (name: string, number: number) => `  - { name: ${name}, port: ${number} }\n`
  await ok(['apply', '-f', '-'], service(port('http', 80) + port('grpc', 90)))
  await ok(['apply', '-f', '-'], service(port('grpc', 90) + port('tcp', 100)))
  assert.equal(await ok(['get', 'svc', 'multi', '-n', 'prod', '-o', 'jsonpath={.spec.ports[*].name}']), 'grpc tcp')
  await ok(['patch', 'svc', 'multi', '-n', 'prod', '-p', '{"spec":{"ports":[{"port":90,"targetPort":9090}]}}'])
  assert.equal(await ok(['get', 'svc', 'multi', '-n', 'prod', '-o', 'jsonpath={.spec.ports[*].targetPort}']), '9090')
})

test('edit, replace and create with a generated name work', { skip }, async () => {
  const object = JSON.parse(await ok(['get', 'vs', 'order-service', '-n', 'prod', '-o', 'json']))
  object.spec.http[0].timeout = '5s'
  await ok(['replace', '-f', '-'], JSON.stringify(object))
  const stale = await kubectl(['replace', '-f', '-'], JSON.stringify(object))
  assert.match(stale.err, /the object has been modified/)
  const made = await ok(['create', '-f', '-', '-o', 'name'], 'apiVersion: v1\nkind: ConfigMap\nmetadata: { generateName: run-, namespace: prod }\ndata: { a: b }\n')
  assert.match(made, /configmap\/run-[a-z0-9]{5}/)
  assert.match((await kubectl(['create', 'ns', 'prod'])).err, /already exists/)
})

test('server-side apply owns its fields, and conflicts name the manager', { skip }, async () => {
  const two = (hosts: string, extra = '') => `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: ssa, namespace: prod }\nspec:\n  hosts: [${hosts}]\n${extra}`
  const http = '  http: [{ route: [{ destination: { host: a } }] }]\n'
  assert.match(await ok(['apply', '--server-side', '-f', '-'], two('a', http)), /serverside-applied/)
  assert.match(await ok(['apply', '--server-side', '-f', '-'], two('a', `${http}  exportTo: ['.']\n`)), /serverside-applied/)
  assert.equal(await ok(['get', 'vs', 'ssa', '-n', 'prod', '-o', 'jsonpath={.spec.exportTo}']), '["."]')
  await ok(['apply', '--server-side', '-f', '-'], two('a', http))
  assert.equal(await ok(['get', 'vs', 'ssa', '-n', 'prod', '-o', 'jsonpath={.spec.exportTo}']), '')
  const other = await kubectl(['apply', '--server-side', '--field-manager', 'other', '-f', '-'], two('b', http))
  assert.match(other.err, /conflict with "kubectl"[\s\S]*\.spec\.hosts/)
  await ok(['apply', '--server-side', '--force-conflicts', '--field-manager', 'other', '-f', '-'], two('b', http))
  assert.equal(await ok(['get', 'vs', 'ssa', '-n', 'prod', '-o', 'jsonpath={.spec.hosts}']), '["b"]')
})

test('auth can-i answers by the key', { skip }, async () => {
  const own = await kubectl(['auth', 'can-i', 'create', 'virtualservices.networking.istio.io', '-n', 'prod'])
  assert.match(own.out, /^yes/, own.err)
  const viewer = await kubectl(['auth', 'can-i', 'delete', 'virtualservices.networking.istio.io', '-n', 'prod'], undefined, 'viewer')
  assert.equal(viewer.code, 1)
  assert.match(viewer.out, /^no/)
  assert.match((await kubectl(['auth', 'can-i', 'list', 'services', '-n', 'prod'], undefined, 'viewer')).out, /^yes/)
})

test('a dry run of a creation, pages, a field selector and a diff with a difference', { skip }, async () => {
  assert.match(await ok(['create', '-f', '-', '--dry-run=server', '-o', 'name'], 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: trial, namespace: prod }\n'), /configmap\/trial/)
  assert.match((await kubectl(['get', 'cm', 'trial', '-n', 'prod'])).err, /NotFound/)
  for (const name of ['page-a', 'page-b', 'page-c']) await ok(['create', 'configmap', name, '-n', 'prod', '--from-literal=a=b'])
  assert.match(await ok(['get', 'cm', '-n', 'prod', '--chunk-size=2', '-o', 'name']), /page-a[\s\S]*page-b[\s\S]*page-c/)
  assert.equal(await ok(['get', 'cm', '-n', 'prod', '--field-selector', 'metadata.name=page-b', '-o', 'name']), 'configmap/page-b\n')
  const differs = await kubectl(['diff', '--server-side', '--field-manager', 'differ', '--force-conflicts', '-f', '-'], virtualService([70, 30]))
  assert.equal(differs.code, 1, differs.err)
  assert.match(differs.out, /weight: 70/)
  await ok(['delete', 'cm', 'page-a', 'page-b', 'page-c', '-n', 'prod', '--wait=true'])
})

test('what apply made, server-side apply takes over; a finalizer holds a deletion until it is taken out', { skip }, async () => {
  const object = (extra: string) => `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: held, namespace: prod${extra} }\nspec:\n  hosts: [held]\n  http: [{ route: [{ destination: { host: held } }] }]\n`
  await ok(['apply', '-f', '-'], object(''))
  // kubectl hands the fields of its own earlier way over to the new one.
  await ok(['apply', '--server-side', '-f', '-'], object(', finalizers: [example.com/held]'))
  assert.match(await ok(['get', 'vs', 'held', '-n', 'prod', '--show-managed-fields', '-o', 'jsonpath={.metadata.managedFields[*].operation}']), /^Apply( Apply)?$/)
  await ok(['delete', 'vs', 'held', '-n', 'prod', '--wait=false'])
  assert.match(await ok(['get', 'vs', 'held', '-n', 'prod', '-o', 'jsonpath={.metadata.deletionTimestamp}']), /^\d{4}-/)
  await ok(['patch', 'vs', 'held', '-n', 'prod', '--type', 'merge', '-p', '{"metadata":{"finalizers":null}}'])
  await ok(['wait', '--for=delete', 'vs/held', '-n', 'prod', '--timeout=20s'])
})

test('a dry run answers and keeps nothing', { skip }, async () => {
  const name = virtualService([90, 10]).replaceAll('name: order-service\n', 'name: dry\n')
  assert.match(await ok(['apply', '--dry-run=server', '-f', '-'], name), /created \(server dry run\)/)
  assert.match((await kubectl(['get', 'vs', 'dry', '-n', 'prod'])).err, /NotFound/)
  assert.match(await ok(['diff', '-f', '-'], await ok(['get', 'vs', 'order-service', '-n', 'prod', '-o', 'yaml'])), /^$/)
})

test('bad input is refused by its field, and nothing is stored', { skip }, async () => {
  const before = await ok(['get', 'vs', 'order-service', '-n', 'prod', '-o', 'yaml'])
  const heavy = await kubectl(['apply', '-f', '-'], virtualService([90, 150]))
  assert.equal(heavy.code, 1)
  assert.match(heavy.err, /spec\.http\[0\]\.route\[1\]\.weight: (Invalid value: )?150.*0\.\.100/s)
  const unknown = await kubectl(['apply', '-f', '-'], virtualService([90, 10], '    retrys: { attempts: 3 }\n'))
  assert.equal(unknown.code, 1)
  assert.match(unknown.err, /retrys/)
  assert.match(unknown.err, /did you mean "retries"/)
  const nowhere = await kubectl(['apply', '-f', '-'], virtualService([90, 10]).replace('namespace: prod', 'namespace: nowhere'))
  assert.match(nowhere.err, /namespaces "nowhere" not found/)
  assert.equal(await ok(['get', 'vs', 'order-service', '-n', 'prod', '-o', 'yaml']), before)
})

test('a TLS secret is made from files, is shown without its values, and keeps them through edits', { skip }, async () => {
  const make = (name: string) =>
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', `/CN=${name}`, '-days', '2', '-keyout', join(folder, `${name}.key`), '-out', join(folder, `${name}.crt`)], { stdio: 'ignore' })
  make('one')
  make('two')
  await ok(['create', 'secret', 'tls', 'api-tls-cert', '-n', 'prod', '--cert', join(folder, 'one.crt'), '--key', join(folder, 'one.key')])
  const shown = await ok(['get', 'secret', 'api-tls-cert', '-n', 'prod', '-o', 'json'])
  assert.deepEqual(JSON.parse(shown).data, { 'tls.crt': 'KGhpZGRlbik=', 'tls.key': 'KGhpZGRlbik=' })
  const key = { group: '', kind: 'Secret', namespace: 'prod', name: 'api-tls-cert' }
  const stored = await api.store.getResource(api.organization.id, api.mesh.id, key)
  await ok(['label', 'secret', 'api-tls-cert', '-n', 'prod', 'x=y'])
  await ok(['replace', '-f', '-'], await ok(['get', 'secret', 'api-tls-cert', '-n', 'prod', '-o', 'json']))
  assert.deepEqual((await api.store.getResource(api.organization.id, api.mesh.id, key))?.object['data'], stored?.object['data'])
  await ok(['delete', 'secret', 'api-tls-cert', '-n', 'prod'])
  const data = async (crt: string, keyFile: string) => JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'wrong', namespace: 'prod' }, type: 'kubernetes.io/tls', stringData: { 'tls.crt': execFileSync('cat', [join(folder, crt)]).toString(), 'tls.key': execFileSync('cat', [join(folder, keyFile)]).toString() } })
  const mixed = await kubectl(['apply', '-f', '-'], await data('one.crt', 'two.key'))
  assert.match(mixed.err, /data\["tls\.key"\].*another certificate/s)
  assert.doesNotMatch(mixed.err, /BEGIN/)
  const garbled = await kubectl(['apply', '-f', '-'], (await data('one.crt', 'one.key')).replace(/BEGIN CERTIFICATE-----\\n..../, 'BEGIN CERTIFICATE-----\\nzzzz'))
  assert.match(garbled.err, /data\["tls\.crt"\]/)
  assert.match((await kubectl(['get', 'secret', 'wrong', '-n', 'prod'])).err, /NotFound/)
})

test('a watch tells what comes, changes and goes', { skip }, async () => {
  const child = spawn('kubectl', ['get', 'cm', '-n', 'prod', '--watch', '--output-watch-events', '-l', 'watched=yes', '-o', 'json', '--kubeconfig', join(folder, 'kubeconfig'), '--cache-dir', join(folder, 'cache')], { stdio: ['ignore', 'pipe', 'inherit'] })
  const gone = new Promise((resolve) => child.on('close', resolve))
  let text = ''
  let wake = (): void => {}
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece
    wake()
  })
  const until = async (pattern: RegExp): Promise<void> => {
    while (!pattern.test(text)) await new Promise<void>((resolve) => (wake = resolve))
  }
  const map = (value: string, label = 'yes') => `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: seen, namespace: prod, labels: { watched: "${label}" } }\ndata: { v: ${value} }\n`
  try {
    await ok(['apply', '-f', '-'], map('one'))
    await until(/"ADDED"/)
    await ok(['apply', '-f', '-'], map('two'))
    await until(/"MODIFIED"/)
    await ok(['delete', 'cm', 'seen', '-n', 'prod'])
    await until(/"DELETED"/)
  } finally {
    child.kill()
    await gone
  }
})

test('a viewer looks and does not touch; a stranger sees nothing', { skip }, async () => {
  assert.equal((await kubectl(['get', 'vs', '-n', 'prod'], undefined, 'viewer')).code, 0)
  const touch = await kubectl(['delete', 'vs', 'order-service', '-n', 'prod'], undefined, 'viewer')
  assert.match(touch.err, /Forbidden/)
  const foreign = await kubectl(['get', 'vs', '-n', 'prod'], undefined, 'stranger')
  assert.notEqual(foreign.code, 0)
  assert.doesNotMatch(foreign.out + foreign.err, /order-service/)
})

test('delete takes an object, a selection, and a namespace with all that is in it', { skip }, async () => {
  await ok(['delete', 'vs', 'ssa', '-n', 'prod'])
  await ok(['delete', 'cm', '--all', '-n', 'prod'])
  await ok(['delete', 'ns', 'prod'])
  assert.equal(await ok(['get', 'vs,svc,dr,secrets', '-n', 'prod', '-o', 'name']), '')
  assert.match((await kubectl(['delete', 'ns', 'default'])).err, /Forbidden|cannot be deleted/)
  assert.deepEqual(api.unexpected, [])
})
