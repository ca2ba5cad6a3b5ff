import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import type { HealthCheckPlan } from '#core/plan/cluster.ts'
import type { Clock, Timer } from '#core/time/clock.ts'
import { type Callouts, connectTo } from './callout.ts'
import type { Cluster } from './cluster.ts'
import type { UpstreamHost } from './host.ts'

interface Watch {
  timer: Timer | undefined
  stopped: boolean
  /** The verdict of the first check counts at once. */
  judged: boolean
  inRow: number
}

/**
 * Asks a cluster's endpoints whether they are well (envoy.config.core.v3.HealthCheck). A new endpoint is not used before its first check has passed, except in panic;
 * from then on so many answers in a row change the verdict. Each endpoint has a timer of its own, so that a slow one delays no other.
 */
export class HealthChecks {
  readonly #cluster: Cluster
  readonly #clock: Clock
  readonly #callouts: Callouts
  readonly #plan: HealthCheckPlan
  readonly #changed: () => void
  readonly #watched = new Map<UpstreamHost, Watch>()

  /** `changed` runs after a verdict was turned. */
  constructor(cluster: Cluster, clock: Clock, callouts: Callouts, plan: HealthCheckPlan, changed: () => void) {
    this.#cluster = cluster
    this.#clock = clock
    this.#callouts = callouts
    this.#plan = plan
    this.#changed = changed
  }

  /** Watches exactly these from now on. */
  watch(hosts: Iterable<UpstreamHost>): void {
    const gone = new Set(this.#watched.keys())
    for (const host of hosts) {
      gone.delete(host)
      if (this.#watched.has(host)) continue
      host.failsCheck = true
      const watch: Watch = { timer: undefined, stopped: false, judged: false, inRow: 0 }
      this.#watched.set(host, watch)
      void this.#check(host, watch)
    }
    for (const host of gone) this.#forget(host)
  }

  stop(): void {
    for (const host of this.#watched.keys()) {
      host.failsCheck = false
      this.#forget(host)
    }
  }

  #forget(host: UpstreamHost): void {
    const watch = this.#watched.get(host)
    if (watch !== undefined) {
      watch.stopped = true
      watch.timer?.cancel()
    }
    this.#watched.delete(host)
  }

  async #check(host: UpstreamHost, watch: Watch): Promise<void> {
    const good = await this.#ask(host)
    if (watch.stopped) return
    const { healthyThreshold, unhealthyThreshold, intervalMs, noTrafficIntervalMs, unhealthyIntervalMs } = this.#plan
    const isGood = !host.failsCheck
    watch.inRow = good === isGood ? 0 : watch.inRow + 1
    const needed = !watch.judged ? 1 : good ? healthyThreshold : unhealthyThreshold
    watch.judged = true
    if (watch.inRow >= needed) {
      host.failsCheck = !good
      watch.inRow = 0
      this.#changed()
    }
    const afterMs = this.#cluster.requestsTotal === 0 ? noTrafficIntervalMs : host.failsCheck ? unhealthyIntervalMs : intervalMs
    watch.timer = this.#clock.after(afterMs, () => void this.#check(host, watch))
  }

  async #ask(host: UpstreamHost): Promise<boolean> {
    const { how, port } = this.#plan
    const to = port === 0 ? host.plan.port : port
    try {
      switch (how.kind) {
        case 'http':
          return await this.#askHttp(host, to, how)
        case 'grpc':
          return await this.#askGrpc(host, to, how)
        case 'tcp':
          return await this.#askTcp(host, to, how)
      }
    } catch {
      // Refused, reset, too late: not well.
      return false
    }
  }

  async #askHttp(host: UpstreamHost, port: number, how: Extract<HealthCheckPlan['how'], { kind: 'http' }>): Promise<boolean> {
    const { status } = await this.#callouts.askHost(
      host,
      {
        method: how.method,
        path: how.path,
        authority: how.host === '' ? (host.plan.hostname === '' ? this.#cluster.plan.name : host.plan.hostname) : how.host,
        headers: [['user-agent', 'Envoy/HC'], ...how.headers.map(({ name, value }) => [name, value] as const)],
        body: undefined,
        timeoutMs: this.#plan.timeoutMs,
      },
      port,
    )
    return how.statuses.some(({ start, end }) => status >= start && status < end)
  }

  /** grpc.health.v1.Health/Check: field 1 of the request is the service, field 1 of the answer its status, 1 is SERVING. */
  async #askGrpc(host: UpstreamHost, port: number, how: Extract<HealthCheckPlan['how'], { kind: 'grpc' }>): Promise<boolean> {
    // HealthCheckRequest's only field (grpc.health.v1).
    const message = how.service === '' ? new Uint8Array() : new BinaryWriter().tag(1, WireType.LengthDelimited).string(how.service).finish()
    const answer = await this.#callouts.callHost(host, '/grpc.health.v1.Health/Check', message, { authority: how.authority === '' ? this.#cluster.plan.name : how.authority, metadata: [], timeoutMs: this.#plan.timeoutMs }, port)
    return answer.length >= 2 && answer[0] === 0x08 && answer[1] === 1
  }

  async #askTcp(host: UpstreamHost, port: number, how: Extract<HealthCheckPlan['how'], { kind: 'tcp' }>): Promise<boolean> {
    const socket = await connectTo(host, port, [], this.#plan.timeoutMs, this.#clock)
    if (how.receive.length === 0) {
      socket.destroy()
      return true
    }
    return new Promise((resolve) => {
      let received = Buffer.alloc(0)
      const settle = (good: boolean): void => {
        timer.cancel()
        socket.destroy()
        resolve(good)
      }
      const timer = this.#clock.after(this.#plan.timeoutMs, () => settle(false))
      socket.on('data', (bytes: Buffer) => {
        received = Buffer.concat([received, bytes]).subarray(-64 * 1024)
        if (holdsInOrder(received, how.receive)) settle(true)
      })
      socket.on('error', () => settle(false))
      socket.on('end', () => settle(false))
      socket.write(how.send)
    })
  }
}

/** Each of the parts, one behind the other, with anything between. */
function holdsInOrder(bytes: Buffer, parts: readonly Uint8Array[]): boolean {
  let from = 0
  for (const part of parts) {
    const at = bytes.indexOf(part, from)
    if (at < 0) return false
    from = at + part.length
  }
  return true
}
