import assert from 'node:assert/strict'
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import * as grpc from '@grpc/grpc-js'
import { test, type TestContext } from 'node:test'
import type { ExtAuthzPlan } from '#core/plan/ext-authz.ts'
import type { RbacPlan } from '#core/plan/rbac.ts'
import { defineMethod, messageCodec } from '#core/wire/grpc.ts'
import { type CheckRequest, CheckRequestSchema, type CheckResponse, CheckResponseSchema } from '#core/wire/gen/envoy/service/auth/v3/external_auth_pb.ts'
import { ask, deadPort, httpServer, startProxy } from '../testing/peers.ts'
import { forward, routePlan } from '../testing/plan.ts'

const exact = (value: string) => ({ words: value, matches: (text: string) => text === value })

const common = { timeoutMs: 60_000, failsOpen: false, failureModeHeader: false, statusOnError: 403, allowedHeaders: undefined, disallowedHeaders: [], body: undefined, reroutes: false, includePeerCertificate: false, enabledBy: undefined } as const

const byHttp = (over: Partial<ExtAuthzPlan> = {}): ExtAuthzPlan => ({
  service: { kind: 'http', cluster: 'authz', pathPrefix: '/check', headersToAdd: [{ name: 'x-from', value: 'proxy' }], upstreamHeaders: [exact('x-user')], upstreamHeadersToAppend: [], clientHeaders: [exact('x-why')], clientHeadersOnSuccess: [exact('x-seen')] },
  ...common,
  ...over,
})

const byGrpc = (over: Partial<ExtAuthzPlan> = {}): ExtAuthzPlan => ({ service: { kind: 'grpc', cluster: 'authz', authority: 'authz.example', metadata: [] }, ...common, ...over })

async function world(t: TestContext, check: ExtAuthzPlan, port: number, shadow?: RbacPlan) {
  let reached = 0
  const upstream = await httpServer(t, (request, response) => {
    reached += 1
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => response.end(JSON.stringify({ headers: request.headers, body: Buffer.concat(chunks).toString() })))
  })
  const proxy = await startProxy(t, {
    routes: [routePlan('/free', forward('up'), { extAuthz: { disabled: true, contextExtensions: {} } }), routePlan('/', forward('up'), { extAuthz: { disabled: false, contextExtensions: { team: 'a' } } })],
    http: { filters: [...(shadow === undefined ? [] : [{ kind: 'rbac' as const, name: 'shadow', policy: shadow }]), { kind: 'ext-authz', name: 'ext_authz', check }] },
    clusters: [['up', [upstream.port]], ['authz', [port], check.service.kind === 'grpc' ? { protocol: 'http2' } : {}]],
  })
  return { proxy, reached: () => reached }
}

test('an HTTP authorizer lets pass, refuses with its own answer, and is told what the plan allows', async (t) => {
  const seen: { url: string | undefined; headers: Record<string, unknown>; method: string | undefined }[] = []
  const authz = await httpServer(t, (request, response) => {
    seen.push({ url: request.url, headers: request.headers, method: request.method })
    if (request.url?.includes('bad') === true) response.writeHead(418, { 'x-why': 'teapot', 'x-secret': '1' }).end('go away')
    else response.writeHead(200, { 'x-user': 'ann', 'x-seen': 'yes', 'x-secret': '1' }).end()
  })
  const { proxy, reached } = await world(t, byHttp({ allowedHeaders: [exact('x-told')] }), authz.port)
  const good = await ask(proxy.port, '/good?q=1', { method: 'POST', body: 'hello', headers: { 'x-told': 'a', 'x-untold': 'b', authorization: 'Basic x', 'x-user': 'forged' } })
  assert.deepEqual([good.status, good.headers['x-seen'], good.headers['x-secret']], [200, 'yes', undefined])
  const upstreamSaw = JSON.parse(good.body) as { headers: Record<string, string>; body: string }
  assert.deepEqual([upstreamSaw.headers['x-user'], upstreamSaw.body], ['ann', 'hello'])
  assert.equal(seen[0]?.url, '/check/good?q=1')
  assert.deepEqual([seen[0]?.method, seen[0]?.headers['x-told'], seen[0]?.headers['x-untold'], seen[0]?.headers['authorization'], seen[0]?.headers['x-from']], ['POST', 'a', undefined, 'Basic x', 'proxy'])
  const bad = await ask(proxy.port, '/bad')
  assert.deepEqual([bad.status, bad.body, bad.headers['x-why'], bad.headers['x-secret']], [418, 'go away', 'teapot', undefined])
  assert.equal((await ask(proxy.port, '/free')).status, 200)
  assert.deepEqual([reached(), seen.length], [2, 2])
  const line = (await proxy.log()).find((one) => one['response_code'] === 418)
  assert.deepEqual([line?.['response_flags'], line?.['response_code_details']], ['UAEX', 'ext_authz_denied'])
})

test('an authorizer that does not answer, answers late or is in trouble refuses all, unless the plan lets pass', async (t) => {
  const slow = await httpServer(t, (request, response) => {
    if (request.url?.includes('late') !== true) response.writeHead(503).end()
  })
  const dead = await world(t, byHttp(), await deadPort())
  const troubled = await world(t, byHttp({ timeoutMs: 100, statusOnError: 500 }), slow.port)
  const open = await world(t, byHttp({ failsOpen: true, failureModeHeader: true }), await deadPort())
  assert.equal((await ask(dead.proxy.port, '/')).status, 403)
  assert.equal((await ask(troubled.proxy.port, '/')).status, 500)
  assert.equal((await ask(troubled.proxy.port, '/late')).status, 500)
  assert.deepEqual([dead.reached(), troubled.reached()], [0, 0])
  const [line] = await dead.proxy.log()
  assert.deepEqual([line?.['response_flags'], line?.['response_code_details']], ['UAEX', 'ext_authz_error'])
  const passed = await ask(open.proxy.port, '/')
  assert.equal(passed.status, 200)
  assert.match(passed.body, /x-envoy-auth-failure-mode-allowed/)
})

async function grpcAuthorizer(t: TestContext, decide: (request: CheckRequest) => MessageInitShape<typeof CheckResponseSchema>): Promise<number> {
  const bytes = (b: Uint8Array) => Buffer.from(b.buffer, b.byteOffset, b.byteLength)
  const method = defineMethod<CheckRequest, CheckResponse, Buffer>(
    { path: '/envoy.service.auth.v3.Authorization/Check', requestStream: false, responseStream: false, input: CheckRequestSchema, output: CheckResponseSchema },
    messageCodec(CheckRequestSchema, bytes),
    messageCodec(CheckResponseSchema, bytes),
  )
  const server = new grpc.Server()
  server.addService({ check: method }, { check: (call: grpc.ServerUnaryCall<CheckRequest, CheckResponse>, answer: grpc.sendUnaryData<CheckResponse>) => answer(null, create(CheckResponseSchema, decide(call.request))) })
  t.after(() => server.forceShutdown())
  return new Promise((resolve, reject) => server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => (error === null ? resolve(port) : reject(error))))
}

test('a gRPC authorizer sees the request with its body, and says what goes on', async (t) => {
  const seen: CheckRequest[] = []
  const port = await grpcAuthorizer(t, (request) => {
    seen.push(request)
    const bad = request.attributes?.request?.http?.path.startsWith('/bad') === true
    return bad
      ? { status: { code: 7 }, httpResponse: { case: 'deniedResponse', value: { status: { code: 401 }, body: 'who are you', headers: [{ header: { key: 'x-why', value: 'unknown' } }] } } }
      : { status: { code: 0 }, httpResponse: { case: 'okResponse', value: { headers: [{ header: { key: 'x-user', value: 'bob' } }, { header: { key: 'x-said', value: 'a\u010d\u010ax-role: admin' } }], headersToRemove: ['x-gone'], responseHeadersToAdd: [{ header: { key: 'x-seen', value: 'yes' } }] } } }
  })
  const { proxy, reached } = await world(t, byGrpc({ body: { bytesMax: 8, partial: false, packAsBytes: false } }), port)
  const good = await ask(proxy.port, '/good?q', { method: 'POST', body: 'hello', headers: { 'x-gone': '1', 'x-user': 'forged' } })
  assert.deepEqual([good.status, good.headers['x-seen']], [200, 'yes'])
  const upstreamSaw = JSON.parse(Buffer.from(good.body, 'latin1').toString()) as { headers: Record<string, string>; body: string }
  assert.deepEqual([upstreamSaw.headers['x-user'], upstreamSaw.headers['x-gone'], upstreamSaw.body], ['bob', undefined, 'hello'])
  // What a user may have chosen is a value and nothing else: its UTF-8, no byte of which ends a line.
  assert.deepEqual([upstreamSaw.headers['x-role'], upstreamSaw.headers['x-said']], [undefined, Buffer.from('a\u010d\u010ax-role: admin').toString('latin1')])
  const http = seen[0]?.attributes?.request?.http
  assert.deepEqual([http?.method, http?.path, http?.body, http?.headers['x-gone']], ['POST', '/good?q', 'hello', '1'])
  assert.deepEqual(seen[0]?.attributes?.contextExtensions, { team: 'a' })
  const bad = await ask(proxy.port, '/bad')
  assert.deepEqual([bad.status, bad.body, bad.headers['x-why']], [401, 'who are you', 'unknown'])
  assert.equal((await ask(proxy.port, '/large', { method: 'POST', body: 'more than eight bytes' })).status, 413)
  assert.deepEqual([reached(), seen.length], [1, 2])
})

test('only requests that a shadow policy noted are asked about', async (t) => {
  let asked = 0
  const authz = await httpServer(t, (_request, response) => {
    asked += 1
    response.writeHead(403).end()
  })
  const shadow: RbacPlan = {
    action: 'deny',
    shadow: true,
    shadowKey: 'istio_ext_authz_shadow_effective_policy_id',
    policies: [{ name: 'istio-ext-authz-p', origin: undefined, permission: { words: '/admin', matches: (request) => request?.path.startsWith('/admin') === true }, principal: { words: 'any', matches: () => true } }],
  }
  const enabledBy = { key: 'istio_ext_authz_shadow_effective_policy_id', policy: { words: 'prefix', matches: (text: string) => text.startsWith('istio-ext-authz-') } }
  const { proxy } = await world(t, byHttp({ enabledBy }), authz.port, shadow)
  assert.equal((await ask(proxy.port, '/orders')).status, 200)
  assert.equal((await ask(proxy.port, '/admin')).status, 403)
  assert.equal(asked, 1)
})
