import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'

const root = path.resolve(import.meta.dirname, '../..')
const folder = mkdtempSync(path.join(tmpdir(), 'weft-explain-'))
after(() => rmSync(folder, { recursive: true }))

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

const weft = (...args: string[]): Promise<Ran> =>
  new Promise((resolve) => {
    execFile(process.execPath, ['cli/main.ts', ...args], { cwd: root, encoding: 'utf8' }, (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code), out, err }))
  })

const shop = ['-f', 'examples/shop/config', '--workloads', 'examples/shop/requests.yaml']

test('a denial names the policy, its rule, its file and line, and the attribute that failed', async () => {
  const { code, out } = await weft('explain', ...shop, '--from', 'client.prod', 'POST', 'http://payment-service:8080/api/pay')
  assert.equal(code, 0)
  const last = out.trimEnd().split('\n').at(-1) ?? ''
  assert.match(last, /^refused 403, by AuthorizationPolicy\/prod\/payment-authz rules\[0\] \(examples\/shop\/config\/50-security\.yaml:\d+\)/)
  assert.match(last, /the caller, spiffe:\/\/cluster\.local\/ns\/prod\/sa\/client, is not identity exact "spiffe:\/\/cluster\.local\/ns\/prod\/sa\/order-service"$/)
})

test('JSON tells the split and the endpoints', async () => {
  const { out } = await weft('explain', ...shop, '--from', 'client.prod', 'http://order-service:8080/', '-o', 'json')
  const answer = JSON.parse(out) as { outcome: string; to: { subset: string; weight: number; endpoints: string[] }[] }
  assert.equal(answer.outcome, 'routed')
  assert.deepEqual(answer.to.map(({ subset, weight, endpoints }) => [subset, weight, endpoints.length]), [['v1', 90, 1], ['v2', 10, 1]])
})

test('a workload that is not there is exit 4, and those that are, are named', async () => {
  const { code, err } = await weft('explain', ...shop, '--from', 'nobody.prod', 'http://order-service:8080/')
  assert.equal(code, 4)
  assert.match(err, /client\.prod, order-v1\.prod/)
})

test('the shop does what its tests say', async () => {
  const { code, out } = await weft('test', 'examples/shop', '-o', 'junit')
  assert.equal(code, 0, out)
  assert.match(out, /<testsuite name="examples\/shop\/requests\.yaml" tests="8" failures="0"/)
})

test('what is not as expected is exit 79, and says what came instead', async () => {
  writeFileSync(path.join(folder, 'mesh.yaml'), 'apiVersion: v1\nkind: Service\nmetadata: { name: a, namespace: prod }\nspec: { ports: [ { name: http, port: 80 } ], selector: { app: a } }\n')
  writeFileSync(
    path.join(folder, 'requests.yaml'),
    'workloads:\n- { name: c, namespace: prod }\ntests:\n- { name: to b, from: c.prod, request: { url: "http://a/" }, expect: { to: [ { host: b.prod.svc.cluster.local } ] } }\n- { name: to a, from: c.prod, request: { url: "http://a/" }, expect: { outcome: routed, status: 503 } }\n',
  )
  const { code, out } = await weft('test', folder, '-o', 'jsonl')
  assert.equal(code, 79)
  const [first, second] = out.trimEnd().split('\n').map((line) => JSON.parse(line) as { pass: boolean; why: string })
  assert.equal(first?.pass, false)
  assert.match(first?.why ?? '', /to b\.prod\.svc\.cluster\.local was expected, a\.prod\.svc\.cluster\.local:80 100 % came/)
  assert.equal(second?.pass, true)
})

test('a test file that is not valid says where', async () => {
  const file = path.join(folder, 'bad.requests.yaml')
  writeFileSync(file, 'tests:\n- name: a\n  from: c.prod\n  request: { url: "http://a/" }\n  expect: { outcom: routed }\n')
  const { code, err } = await weft('test', file)
  assert.equal(code, 1)
  assert.match(err, /bad\.requests\.yaml:5: /)
})

test('an HTTPRoute decides by its own name, rule, condition, file and line, and each rule that was passed over has its own', async () => {
  const file = path.join(folder, 'routes.yaml')
  writeFileSync(
    file,
    `apiVersion: v1
kind: Service
metadata: { name: a, namespace: prod }
spec: { ports: [ { name: http, port: 80 } ], selector: { app: a } }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: a-routes, namespace: prod }
spec:
  parentRefs: [ { group: "", kind: Service, name: a, port: 80 } ]
  rules:
  - matches:
    - path: { type: PathPrefix, value: /private }
    filters:
    - type: RequestRedirect
      requestRedirect: { statusCode: 302, hostname: elsewhere.example }
  - matches:
    - path: { type: PathPrefix, value: /v2 }
    - path: { type: PathPrefix, value: /v3 }
    backendRefs: [ { name: a, port: 80 } ]
`,
  )
  const people = path.join(folder, 'people.yaml')
  writeFileSync(people, '- { name: c, namespace: prod }\n- { name: a-1, namespace: prod, labels: { app: a } }\n')
  const asked = ['explain', '-f', file, '--workloads', people, '--from', 'c.prod']
  const { code, out, err } = await weft(...asked, 'http://a/v3/x')
  assert.equal(code, 0, err)
  assert.match(out, new RegExp(`- .*HTTPRoute/prod/a-routes rules\\[0\\]\\.matches\\[0\\] \\(${file}:13\\)`))
  assert.match(out, new RegExp(`^routed, by HTTPRoute/prod/a-routes rules\\[1\\]\\.matches\\[1\\] \\(${file}:19\\)`, 'm'))
  const redirected = await weft(...asked, 'http://a/private')
  assert.match(redirected.out, new RegExp(`^redirect 302, by HTTPRoute/prod/a-routes rules\\[0\\]\\.matches\\[0\\] \\(${file}:13\\)`, 'm'))
  assert.doesNotMatch(out + redirected.out, /VirtualService/)
})

test('a test that failed is explained: the rules that were tried, and the one that decided, by file and line', async () => {
  const of = path.join(folder, 'failing')
  mkdirSync(of)
  writeFileSync(path.join(of, 'mesh.yaml'), 'apiVersion: v1\nkind: Service\nmetadata: { name: a, namespace: prod }\nspec: { ports: [ { name: http, port: 80 } ], selector: { app: a } }\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: a, namespace: prod }\nspec:\n  hosts: [a]\n  http:\n  - match: [ { uri: { exact: /x } } ]\n    route: [ { destination: { host: a } } ]\n  - directResponse: { status: 418 }\n')
  const file = path.join(of, 'requests.yaml')
  writeFileSync(file, 'workloads:\n- { name: c, namespace: prod }\ntests:\n- { name: to a, from: c.prod, request: { url: "http://a/y" }, expect: { outcome: routed } }\n- { name: to x, from: c.prod, request: { url: "http://a/x" }, expect: { outcome: routed } }\n')
  const tested = await weft('test', of)
  assert.equal(tested.code, 79)
  assert.match(tested.out, /FAIL {2}to a/)
  assert.match(tested.out, /- .*VirtualService\/prod\/a http\[0\] \(.*mesh\.yaml:12\)/)
  assert.match(tested.out, /direct-response 418, by VirtualService\/prod\/a http\[1\] \(.*mesh\.yaml:14\)/)
  const explained = await weft('explain', '--test', file, 'to a')
  assert.equal(explained.code, 79)
  assert.match(explained.out, /by VirtualService\/prod\/a http\[1\] \(.*mesh\.yaml:14\)/)
  assert.match(explained.out, /^wrong: outcome routed was expected, direct-response came$/m)
  assert.equal((await weft('explain', '--test', file, 'to x')).code, 0)
  const unknown = await weft('explain', '--test', file, 'nothing')
  assert.equal(unknown.code, 2)
  assert.match(unknown.err, /"to a", "to x"/)
})
