import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'

const root = path.resolve(import.meta.dirname, '../..')
const folder = mkdtempSync(path.join(tmpdir(), 'weft-test-command-'))
after(() => rmSync(folder, { recursive: true }))

/** What an operator has in a repository: a configuration, and what must come of it. */
writeFileSync(
  path.join(folder, 'mesh.yaml'),
  `apiVersion: v1
kind: Service
metadata: { name: orders, namespace: prod }
spec: { selector: { app: orders }, ports: [ { name: http, port: 80, targetPort: 8080 } ] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: orders, namespace: prod }
spec:
  hosts: [ orders ]
  http:
  - match: [ { headers: { x-canary: { exact: "yes" } } } ]
    route: [ { destination: { host: orders, subset: v2 } } ]
  - match: [ { uri: { prefix: /old } } ]
    redirect: { uri: /new }
  - route: [ { destination: { host: orders, subset: v1 } } ]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: orders, namespace: prod }
spec: { host: orders, subsets: [ { name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } } ] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: orders, namespace: prod }
spec: { selector: { matchLabels: { app: orders } }, action: DENY, rules: [ { to: [ { operation: { methods: [ DELETE ] } } ] } ] }
`,
)
const people = `workloads:
- { name: client, namespace: prod, labels: { app: client } }
- { name: orders-1, namespace: prod, labels: { app: orders, version: v1 }, ports: [ 8080 ] }
- { name: orders-2, namespace: prod, labels: { app: orders, version: v2 }, ports: [ 8080 ] }
tests:
`
const good = path.join(folder, 'good.requests.yaml')
writeFileSync(
  good,
  `${people}- name: the canary is asked for by header
  from: client.prod
  request: { url: "http://orders/", headers: { x-canary: "yes" } }
  expect: { to: [ { host: orders.prod.svc.cluster.local, subset: v2 } ] }
- name: nobody deletes
  from: client.prod
  request: { method: DELETE, url: "http://orders/1" }
  expect: { status: 403, by: AuthorizationPolicy/prod/orders }
`,
)
const wrong = path.join(folder, 'wrong.requests.yaml')
writeFileSync(
  wrong,
  `${people}- name: old links lead to new ones
  from: client.prod
  request: { url: "http://orders/old" }
  expect: { outcome: redirect, location: "http://orders/new" }
- name: everyone else gets v2
  from: client.prod
  request: { url: "http://orders/" }
  expect: { to: [ { subset: v2 } ] }
`,
)

const weft = (...args: string[]): Promise<{ code: number; out: string; err: string }> =>
  new Promise((resolve) => {
    execFile(process.execPath, ['cli/main.ts', 'test', ...args], { cwd: root, encoding: 'utf8' }, (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code), out, err }))
  })

for (const engine of [[], ['--engine', 'weft'], ['--engine', 'envoy']]) {
  const asked = engine.length === 0 ? 'the router' : engine.at(-1)
  test(`${asked} passes what is as expected, and names the line that expects what is not`, async () => {
    const passed = await weft(good, ...engine)
    assert.deepEqual([passed.code, passed.out], [0, 'pass  the canary is asked for by header\npass  nobody deletes\n'], passed.err)
    assert.match(passed.err, /^2 of 2 as expected, in [\d.]+ m?s$/m)
    const failed = await weft(wrong, ...engine)
    assert.equal(failed.code, 79, failed.err)
    assert.match(failed.out, /^pass {2}old links lead to new ones$/m)
    assert.match(failed.out, /^FAIL {2}everyone else gets v2\n {6}\S+wrong\.requests\.yaml:13: to v2 was expected, .*v1.* came/m)
    // Why, by the rules that were tried.
    assert.match(failed.out, /^ +caller +route +- .*VirtualService\/prod\/orders http\[1\] \(\S+mesh\.yaml:14\)$/m)
    assert.match(failed.out, /^ +routed, by VirtualService\/prod\/orders http\[2\] \(\S+mesh\.yaml:16\)/m)
    assert.match(failed.err, /^1 of 2 as expected, in [\d.]+ m?s$/m)
  })
}

test('a report for CI names file and line of each test, and says why one failed', async () => {
  const { code, out } = await weft(folder, '-o', 'junit')
  assert.equal(code, 79)
  assert.match(out, /<testcase classname="\S+good\.requests\.yaml" name="nobody deletes" file="\S+good\.requests\.yaml" line="13"\/>/)
  assert.match(out, /<failure message="to v2 was expected, [^"]*">[^<]*wrong\.requests\.yaml:13: [^<]*\n[^<]*http\[2\] \(\S+mesh\.yaml:16\)/)
  const [first] = (await weft(wrong, '-o', 'jsonl')).out.split('\n')
  assert.equal((JSON.parse(first ?? '') as { line: number }).line, 9)
})

test('what cannot be read is told by file and line, and is no failed test', async () => {
  const file = path.join(folder, 'bad.yaml')
  writeFileSync(file, `${people}- { name: a, from: client.prod, request: { url: "http://orders/" }, expct: {} }\n`)
  const { code, err } = await weft(file)
  assert.equal(code, 1)
  assert.match(err, /bad\.yaml:6: tests\[0\]\.expct: unknown field \(did you mean "expect"\?\)/)
  assert.equal((await weft(path.join(folder, 'nothing.yaml'))).code, 2)
})
