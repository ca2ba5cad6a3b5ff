import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import * as grpc from '@grpc/grpc-js'
import { RetryOn } from '#core/balance/retry.ts'
import type { RetryPlan } from '#core/plan/route.ts'
import { startPair } from '../../testing/pair.ts'
import { startProxy, until } from '../../testing/peers.ts'
import { forward, routePlan } from '../../testing/plan.ts'

const pass = (bytes: Buffer): Buffer => bytes
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({ path: `/shop.Orders/${name}`, requestStream, responseStream, requestSerialize: pass, requestDeserialize: pass, responseSerialize: pass, responseDeserialize: pass })
const service = { unary: method('unary', false, false), fails: method('fails', false, false), flaky: method('flaky', false, false), slow: method('slow', false, false), collect: method('collect', true, false), list: method('list', false, true), chat: method('chat', true, true) }

interface Calls {
  flaky: number
  slow: number
  cancelled: number
}

async function server(t: TestContext): Promise<{ port: number; calls: Calls }> {
  const calls: Calls = { flaky: 0, slow: 0, cancelled: 0 }
  const made = new grpc.Server()
  made.addService(service, {
    unary(call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
      const trailers = new grpc.Metadata()
      trailers.set('x-trailer', 'behind')
      trailers.set('x-seen', String(call.metadata.get('x-word')[0] ?? ''))
      done(null, call.request, trailers)
    },
    fails: (_call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => done({ code: grpc.status.NOT_FOUND, details: 'no such order: 7 %' }),
    flaky(_call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
      if (++calls.flaky < 3) done({ code: grpc.status.UNAVAILABLE, details: 'again' })
      else done(null, Buffer.from('at last'))
    },
    slow(call: grpc.ServerUnaryCall<Buffer, Buffer>) {
      calls.slow += 1
      call.on('cancelled', () => (calls.cancelled += 1))
    },
    collect(call: grpc.ServerReadableStream<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
      let bytes = 0
      call.on('data', (message: Buffer) => (bytes += message.length))
      call.on('end', () => done(null, Buffer.from(String(bytes))))
    },
    list(call: grpc.ServerWritableStream<Buffer, Buffer>) {
      for (let i = 0; i < 200; i++) call.write(Buffer.alloc(5000, i))
      call.end()
    },
    chat(call: grpc.ServerDuplexStream<Buffer, Buffer>) {
      call.on('data', (message: Buffer) => call.write(Buffer.from(`re: ${message.toString()}`)))
      call.on('end', () => call.end())
    },
  })
  const port = await new Promise<number>((ready, failed) => made.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => (error ? failed(error) : ready(bound))))
  t.after(() => made.forceShutdown())
  return { port, calls }
}

const retry: RetryPlan = { on: RetryOn.unavailable, statusCodes: new Set(), retriesMax: 3, perTryTimeoutMs: 0, backoffBaseMs: 1, backoffMaxMs: 2, avoidTriedHosts: false, hostSelectionAttemptsMax: 0 }

async function mesh(t: TestContext) {
  const { port, calls } = await server(t)
  const { before, behind } = await startPair(t, port, { app: { protocol: 'http2' }, route: { retry, grpcTimeoutMaxMs: 0 } })
  const client = new grpc.Client(`127.0.0.1:${before.port}`, grpc.credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1, 'grpc.enable_retries': 0 })
  t.after(() => client.close())
  const unary = (name: keyof typeof service, request: Buffer, options: grpc.CallOptions = {}, metadata = new grpc.Metadata()): Promise<{ reply: Buffer; status: grpc.StatusObject }> =>
    new Promise((resolve, reject) => {
      let reply: Buffer = Buffer.alloc(0)
      const call = client.makeUnaryRequest(service[name].path, pass, pass, request, metadata, options, (error, value) => (error ? reject(error) : (reply = value ?? reply)))
      call.on('status', (status) => resolve({ reply, status }))
    })
  return { before, behind, client, unary, calls }
}

test('a unary call passes two sidecars with its metadata, trailers and status', async (t) => {
  const { before, behind, unary } = await mesh(t)
  const metadata = new grpc.Metadata()
  metadata.set('x-word', 'hello')
  const { reply, status } = await unary('unary', Buffer.alloc(300_000, 1), {}, metadata)
  assert.equal(reply.length, 300_000)
  assert.equal(status.metadata.get('x-trailer')[0], 'behind')
  assert.equal(status.metadata.get('x-seen')[0], 'hello')
  await assert.rejects(unary('fails', Buffer.alloc(0)), { code: grpc.status.NOT_FOUND, details: 'no such order: 7 %' })
  for (const proxy of [before, behind]) {
    const text = proxy.runtime.metricsText()
    assert.match(text, /istio_requests_total\{[^}]*request_protocol="grpc",response_code="200",grpc_response_status="0",[^}]*\} 1/)
    assert.match(text, /istio_requests_total\{[^}]*request_protocol="grpc",response_code="200",grpc_response_status="5",[^}]*\} 1/)
  }
})

/** What a proxy counted of messages that clients sent, and that servers did: of calls that go on, and with the status of those that ended. */
const messagesOf = (text: string, which: 'request' | 'response', ended: boolean): number =>
  [...text.matchAll(/^istio_(request|response)_messages_total\{(.*)\} (\d+)$/gm)].filter(([, kind, labels = '']) => kind === which && labels.includes('request_protocol="grpc"') && labels.includes('grpc_response_status="0"') === ended).reduce((sum, [, , , count]) => sum + Number(count), 0)

test('messages are counted while their call goes on, and each once', async (t) => {
  const { before, behind, client, unary } = await mesh(t)
  const chat = client.makeBidiStreamRequest(service.chat.path, pass, pass, new grpc.Metadata())
  let heard = 0
  const say = async (words: number): Promise<void> => {
    const wanted = heard + words
    const all = new Promise<void>((done, failed) => {
      chat.removeAllListeners('data').on('error', failed)
      chat.on('data', () => ++heard === wanted && done())
    })
    for (let i = 0; i < words; i++) chat.write(Buffer.from(`word ${i}`))
    await all
  }
  const counted = (ended: boolean) => [before, behind].map(({ runtime }) => runtime.metricsText()).map((text) => [messagesOf(text, 'request', ended), messagesOf(text, 'response', ended)])
  await say(3)
  assert.deepEqual(counted(false), [[3, 3], [3, 3]])
  await say(2)
  assert.deepEqual(counted(false), [[5, 5], [5, 5]])
  await say(2)
  const over = new Promise((ended, failed) => chat.on('end', ended).on('error', failed))
  chat.end()
  await over
  assert.deepEqual(counted(true), [[2, 2], [2, 2]])
  await unary('unary', Buffer.alloc(70_000))
  assert.deepEqual(counted(true), [[3, 3], [3, 3]])
  assert.deepEqual(counted(false), [[5, 5], [5, 5]])
})

test('messages stream both ways, one by one', async (t) => {
  const { client } = await mesh(t)
  const chat = client.makeBidiStreamRequest(service.chat.path, pass, pass, new grpc.Metadata())
  const heard: string[] = []
  chat.on('data', (message: Buffer) => {
    heard.push(message.toString())
    if (heard.length < 5) chat.write(Buffer.from(`word ${heard.length}`))
    else chat.end()
  })
  chat.write(Buffer.from('word 0'))
  await new Promise((ended, failed) => chat.on('end', ended).on('error', failed))
  assert.deepEqual(heard, ['re: word 0', 're: word 1', 're: word 2', 're: word 3', 're: word 4'])

  const collected = await new Promise<string>((resolve, reject) => {
    const call = client.makeClientStreamRequest(service.collect.path, pass, pass, new grpc.Metadata(), (error, value) => (error ? reject(error) : resolve(String(value))))
    for (let i = 0; i < 100; i++) call.write(Buffer.alloc(10_000))
    call.end()
  })
  assert.equal(collected, '1000000')

  let got = 0
  const list = client.makeServerStreamRequest(service.list.path, pass, pass, Buffer.alloc(0), new grpc.Metadata())
  for await (const message of list) got += (message as Buffer).length
  assert.equal(got, 1_000_000)
})

test('a status that the route retries is tried again', async (t) => {
  const { unary, calls } = await mesh(t)
  const { reply } = await unary('flaky', Buffer.alloc(0))
  assert.equal(reply.toString(), 'at last')
  assert.equal(calls.flaky, 3)
})

test('the deadline of a call holds in the sidecar, and a cancelled call is cancelled at the server', async (t) => {
  const { unary, client, before, behind, calls } = await mesh(t)
  await assert.rejects(unary('slow', Buffer.alloc(0), { deadline: Date.now() + 300 }), { code: grpc.status.DEADLINE_EXCEEDED })
  await until(() => behind.runtime.active.size === 0)
  const cancelledBefore = calls.cancelled
  const begun = calls.slow
  const call = client.makeUnaryRequest(service.slow.path, pass, pass, Buffer.alloc(0), () => undefined)
  await until(() => calls.slow > begun)
  call.cancel()
  await until(() => calls.cancelled > cancelledBefore)
  await until(() => before.runtime.active.size === 0)
})

test('what the sidecar answers itself, a gRPC client understands', async (t) => {
  const { port } = await server(t)
  const { before, behind } = await startPair(t, port, { app: { protocol: 'http2' }, paths: ['/shop.Orders/unary'] })
  const client = new grpc.Client(`127.0.0.1:${before.port}`, grpc.credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1, 'grpc.enable_retries': 0 })
  t.after(() => client.close())
  const ask = (path: string): Promise<unknown> => new Promise((resolve, reject) => client.makeUnaryRequest(path, pass, pass, Buffer.alloc(0), (error, value) => (error ? reject(error) : resolve(value))))
  await assert.rejects(ask('/shop.Orders/fails'), { code: grpc.status.UNIMPLEMENTED })
  behind.runtime.close()
  await assert.rejects(ask('/shop.Orders/unary'), { code: grpc.status.UNAVAILABLE })
  assert.match(before.runtime.metricsText(), /response_code="200",grpc_response_status="14"/)
})

test('rules for metrics of messages change their labels, or leave them out', async (t) => {
  const { port } = await server(t)
  const rules = [
    { name: 'request_messages_total', dropped: false, removed: ['source_app'], tags: [{ tag: 'path', expression: 'request.url_path' }] },
    { name: 'response_messages_total', dropped: true, removed: [], tags: [] },
  ] as const
  const proxy = await startProxy(t, { routes: [routePlan('/', forward('order'))], http: { metricRules: rules }, clusters: [['order', [port], { protocol: 'http2' }]] })
  const client = new grpc.Client(`127.0.0.1:${proxy.port}`, grpc.credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 })
  t.after(() => client.close())
  await new Promise<void>((done, failed) => {
    client.makeUnaryRequest(service.unary.path, pass, pass, Buffer.from('one'), (error) => (error ? failed(error) : done()))
  })
  const text = proxy.runtime.metricsText()
  assert.match(text, /^istio_request_messages_total\{.*path="\/shop.Orders\/unary"\} 1$/m)
  assert.doesNotMatch(text, /^istio_request_messages_total\{.*source_app=/m)
  assert.doesNotMatch(text, /^istio_response_messages_total\{/m)
  assert.match(text, /^istio_requests_total\{.*source_app=.*\} 1$/m)
})
