import http from 'node:http'
import net from 'node:net'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import type { ClusterPlan } from '#core/plan/cluster.ts'
import type { EndpointPlan } from '#core/plan/endpoints.ts'
import type { HttpPlan } from '#core/plan/http.ts'
import type { ListenerPlan } from '#core/plan/listener.ts'
import type { Route } from '#core/plan/route.ts'
import type { Doors } from '#core/time/clock.ts'
import { systemDoors } from '#core/time/system.ts'
import { freePort } from '#test/parts/free-port.ts'
import type { Log } from '../admin/log.ts'
import { noLimits } from '../overload/limits.ts'
import type { Limits } from '../overload/limits.ts'
import { Runtime } from '../runtime.ts'
import type { SecretSource, SpanSink } from '../runtime.ts'
import { TestPlans, chainPlan, clusterPlan, endpointPlan, httpPlan, listenerPlan, noSecrets, tablePlan, testNode } from './plan.ts'

/** Real peers in process, and a proxy between them. Everything ends with its test. */

/** A node:http server; answers its port. */
export async function httpServer(t: TestContext, handler: http.RequestListener): Promise<http.Server & { port: number }> {
  const server = http.createServer(handler)
  server.keepAliveTimeout = 60_000
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return Object.assign(server, { port: (server.address() as AddressInfo).port })
}

/** A node:net server; `connections` counts. */
export async function netServer(t: TestContext, handler: (socket: net.Socket) => void, options: net.ServerOpts = {}): Promise<net.Server & { port: number; accepted: () => number }> {
  const sockets = new Set<net.Socket>()
  let accepted = 0
  const server = net.createServer(options, (socket) => {
    accepted += 1
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
    handler(socket)
  })
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return Object.assign(server, { port: (server.address() as AddressInfo).port, accepted: () => accepted })
}

/** A port on which nobody listens, and which nobody else will be given. */
export const deadPort = (): Promise<number> => freePort()

export interface TestProxy {
  readonly runtime: Runtime
  readonly plans: TestPlans
  readonly port: number
  /** Finished log lines as objects; flushed first. */
  log(): Promise<Record<string, unknown>[]>
}

export interface TestProxyOptions {
  readonly routes?: readonly Route[]
  readonly http?: Partial<HttpPlan>
  readonly clusters: readonly (readonly [string, readonly (number | EndpointPlan)[], Partial<ClusterPlan>?])[]
  readonly listener?: ListenerPlan
  readonly secrets?: SecretSource
  readonly doors?: Doors
  readonly onSpan?: SpanSink
  readonly limits?: Partial<Limits>
  readonly residentBytes?: () => number
  readonly log?: Log
}

export async function startProxy(t: TestContext, options: TestProxyOptions): Promise<TestProxy> {
  const plans = new TestPlans()
  for (const [name, endpoints, over] of options.clusters) plans.clusters.set(name, clusterPlan(name, endpoints.map((one) => (typeof one === 'number' ? endpointPlan(one) : one)), over))
  const plan = httpPlan(tablePlan(options.routes ?? []), { accessLog: [{ path: '/dev/stdout', json: true, fields: [] }], ...options.http })
  const listener = options.listener ?? listenerPlan('main', [chainPlan(plan)])
  plans.listeners.set(listener.name, listener)
  let lines = ''
  const runtime = new Runtime(options.doors ?? systemDoors, plans, options.secrets ?? noSecrets, {
    node: testNode,
    accessLog: {
      write(_path, text) {
        lines += text
      },
    },
    limits: { ...noLimits, ...options.limits },
    ...(options.residentBytes !== undefined && { residentBytes: options.residentBytes }),
    ...(options.log !== undefined && { log: options.log }),
    ...(options.onSpan !== undefined && { onSpan: options.onSpan }),
  })
  t.after(() => runtime.close())
  for (const name of plans.clusters.keys()) runtime.applyCluster(name)
  const failure = await runtime.applyListener(listener.name)
  if (failure !== '') throw new Error(failure)
  return {
    runtime,
    plans,
    port: runtime.portOf(listener.name) ?? 0,
    async log() {
      runtime.flushLogs()
      return lines.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Record<string, unknown>)
    },
  }
}

export interface Reply {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

/** One request by node:http; a connection of its own unless an agent is given. */
export function ask(port: number, path: string, options: http.RequestOptions & { body?: string | Buffer } = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const { body, ...rest } = options
    const request = http.request({ host: '127.0.0.1', port, path, agent: false, ...rest }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString('latin1') }))
      response.on('error', reject)
    })
    request.on('error', reject)
    request.end(body)
  })
}

/** Sends text, and collects until `done` says that it is enough, or the peer closes. */
export function speak(port: number, text: string, done: (received: string) => boolean = () => false): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(text, 'latin1'))
    let received = ''
    socket.on('data', (bytes: Buffer) => {
      received += bytes.toString('latin1')
      if (done(received)) {
        socket.destroy()
        resolve(received)
      }
    })
    socket.on('end', () => {
      socket.destroy()
      resolve(received)
    })
    socket.on('error', reject)
  })
}

/** Waits until something is so; fails after minutes, which a slow machine may need. */
export async function until(what: () => boolean): Promise<void> {
  const deadline = performance.now() + 300_000
  while (!what()) {
    if (performance.now() > deadline) throw new Error(`never so: ${what.toString()}`)
    await new Promise((tick) => setTimeout(tick, 5))
  }
}
