import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { create } from '@bufbuild/protobuf'
import * as grpc from '@grpc/grpc-js'
import { backOffMs } from '#core/time/back-off.ts'
import type { Doors, Timer } from '#core/time/clock.ts'
import { type DiscoveryResponse, DiscoveryRequestSchema } from '#core/wire/gen/envoy/service/discovery/v3/discovery_pb.ts'
import { ProxyConfigSchema } from '#core/wire/gen/istio/mesh/v1alpha1/proxy_pb.ts'
import { defineTypedMethod, fetchProxyConfig } from '#core/wire/grpc.ts'
import { typeUrlOf } from '#core/wire/type-url.ts'
import { writeNode } from '#core/workload/node-message.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import { describeError, type Log } from '../admin/log.ts'
import { controlPlaneChannel, type ControlPlane } from '../ads/control-plane.ts'
import type { WorkloadCertificate } from '../identity/certificate.ts'
import { noSettings, type ProxySettings, readSettings } from './proxy-settings.ts'

const ANSWER_WITHIN_MS = 10_000
const RETRY_BASE_MS = 200
const RETRY_MAX_MS = 10_000
const method = defineTypedMethod(fetchProxyConfig, (bytes): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))

/** So often a control plane that is there may fail before the proxy starts without its word. */
const PATIENCE = 5

/** Another time the answer may be another; whatever else a control plane says, it has no settings for us. */
const PASSING: ReadonlySet<number> = new Set([grpc.status.UNAVAILABLE, grpc.status.DEADLINE_EXCEEDED, grpc.status.CANCELLED, grpc.status.RESOURCE_EXHAUSTED, grpc.status.UNKNOWN])

/**
 * What the mesh has this proxy start with: asked for with the first certificate, before anything starts that depends on it. Asked again with each certificate that follows,
 * so that its log says when a start now would be another. What was told last is kept on disk, where there is a place for it, for a start without a control plane.
 */
export class ToldSettings {
  /** Resolves once. */
  readonly known: Promise<ProxySettings>
  readonly #doors: Doors
  readonly #controlPlane: ControlPlane
  readonly #node: ProxyNode
  readonly #file: string | undefined
  readonly #log: Log
  #tell = (_settings: ProxySettings): void => {}
  #inForce: ProxySettings | undefined
  #retry: Timer | undefined
  #attempt = 0
  #asking = 0
  #stopped = false

  /** `directory`: where state is kept; undefined: nowhere. */
  constructor(doors: Doors, of: { controlPlane: ControlPlane; node: ProxyNode; directory: string | undefined }, log: Log) {
    this.#doors = doors
    this.#controlPlane = of.controlPlane
    this.#node = of.node
    this.#file = of.directory === undefined ? undefined : path.join(of.directory, 'proxy-config.binpb')
    this.#log = log
    this.known = new Promise((resolve) => (this.#tell = resolve))
  }

  /** A new certificate is there. */
  ask(certificate: WorkloadCertificate): void {
    if (this.#stopped) return
    this.#retry?.cancel()
    const asking = ++this.#asking
    const client = controlPlaneChannel(this.#controlPlane, certificate)
    const request = create(DiscoveryRequestSchema, { node: writeNode(this.#node), typeUrl: typeUrlOf(ProxyConfigSchema) })
    client.makeUnaryRequest(method.path, method.requestSerialize, method.responseDeserialize, request, { deadline: this.#doors.clock.wallMs() + ANSWER_WITHIN_MS }, (error, response) => {
      client.close()
      if (this.#stopped || asking !== this.#asking) return
      if (error !== null && PASSING.has(error.code)) {
        if (error.code !== grpc.status.UNAVAILABLE && this.#attempt >= PATIENCE) this.useSaved()
        return this.#later(certificate, error)
      }
      if (error !== null) this.#log.debug('settings.none', { error: describeError(error) })
      this.#heard(response)
    })
  }

  /** The control plane is away: what was told last, or nothing. */
  useSaved(): void {
    if (this.#inForce !== undefined) return
    let settings = noSettings
    try {
      if (this.#file !== undefined) settings = readSettings(readFileSync(this.#file))
    } catch {
      // Nothing was kept, or nothing that can be read: the proxy starts by its own settings.
    }
    this.#use(settings)
  }

  stop(): void {
    this.#stopped = true
    this.#retry?.cancel()
  }

  #later(certificate: WorkloadCertificate, error: Error): void {
    const delayMs = backOffMs(this.#attempt++, this.#doors.random.draw(), RETRY_BASE_MS, RETRY_MAX_MS)
    this.#log.warn('settings.request-failed', { error: describeError(error), retryInMs: Math.round(delayMs) })
    this.#retry = this.#doors.clock.after(delayMs, () => this.ask(certificate))
  }

  #heard(response: DiscoveryResponse | undefined): void {
    this.#attempt = 0
    const bytes = response?.resources[0]?.value ?? new Uint8Array()
    let settings: ProxySettings
    try {
      settings = readSettings(bytes)
    } catch (error) {
      this.#log.warn('settings.unreadable', { error: describeError(error) })
      return this.useSaved()
    }
    this.#save(bytes)
    if (this.#inForce === undefined) this.#use(settings)
    else if (!same(settings, this.#inForce)) this.#log.warn('settings.differ', { concurrency: settings.concurrency ?? null, variables: Object.keys(settings.variables), probe: settings.probe !== undefined })
  }

  #use(settings: ProxySettings): void {
    this.#inForce = settings
    this.#tell(settings)
  }

  #save(bytes: Uint8Array): void {
    if (this.#file === undefined) return
    try {
      mkdirSync(path.dirname(this.#file), { recursive: true, mode: 0o700 })
      writeFileSync(`${this.#file}.next`, bytes, { mode: 0o600 })
      renameSync(`${this.#file}.next`, this.#file)
    } catch (error) {
      this.#log.error('settings.save-failed', { file: this.#file, error: describeError(error) })
    }
  }
}

const inOrder = ({ concurrency, variables, probe }: ProxySettings): string => JSON.stringify([concurrency ?? null, Object.entries(variables).sort(([a], [b]) => (a < b ? -1 : 1)), probe ?? null])
const same = (a: ProxySettings, b: ProxySettings): boolean => inOrder(a) === inOrder(b)
