import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import type { Random } from '#core/time/clock.ts'
import { ScopedRouteConfigurationSchema } from '#core/wire/gen/envoy/config/route/v3/scoped_route_pb.ts'
import { ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema, DiscoveryRequestSchema, DiscoveryResponseSchema } from '#core/wire/gen/envoy/service/discovery/v3/discovery_pb.ts'
import { ClusterLoadAssignmentSchema } from '#core/wire/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { RouteConfigurationSchema } from '#core/wire/gen/envoy/config/route/v3/route_pb.ts'
import { StatusSchema } from '#core/wire/gen/google/rpc/status_pb.ts'
import { contentHash } from '#core/wire/encode.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT, LISTENER, ROUTE_CONFIGURATION, SCOPED_ROUTE_CONFIGURATION } from '#core/wire/type-url.ts'
import type { Protocol } from '#api/serve/request.ts'

const wildcard = [CLUSTER, LISTENER, SCOPED_ROUTE_CONFIGURATION] as const
/** Types whose names follow from another's content. */
const named = [CLUSTER_LOAD_ASSIGNMENT, ROUTE_CONFIGURATION] as const
export const simulatedTypes = [...wildcard, ...named]

interface OfType {
  /** name → version, which is the hash of the content. */
  readonly held: Map<string, string>
  readonly names: Set<string>
  asked: boolean
  nonce: string
  version: string
}

/** The subscription state of one proxy, as a proxy keeps it: what it asks for, holds and acknowledges. It speaks bytes, and makes no mistakes but those that it is told to make. */
export class SimulatedProxy {
  readonly protocol: Protocol
  readonly #random: Random
  /** Share of responses that it refuses, of which one resource is named. */
  nackShare = 0
  readonly #types = new Map<string, OfType>()
  /** Refused in this connection. */
  refusals = 0
  #send: ((request: Buffer) => void) | undefined

  constructor(protocol: Protocol, random: Random) {
    this.protocol = protocol
    this.#random = random
    for (const type of simulatedTypes) this.#types.set(type, { held: new Map(), names: new Set(), asked: false, nonce: '', version: '' })
  }

  held(type: string): ReadonlyMap<string, string> {
    return this.#of(type).held
  }

  names(type: string): ReadonlySet<string> {
    return this.#of(type).names
  }

  /** A new stream: all that it knows is said again in first requests. */
  connect(send: (request: Buffer) => void): void {
    this.#send = send
    this.refusals = 0
    for (const of of this.#types.values()) {
      of.asked = false
      of.nonce = ''
    }
    for (const type of wildcard) this.#ask(type, [], [])
    for (const type of named) if (this.#of(type).names.size > 0) this.#ask(type, [...this.#of(type).names], [])
  }

  disconnect(): void {
    this.#send = undefined
  }

  receive(bytes: Buffer): void {
    if (this.protocol === 'delta') this.#receiveDelta(bytes)
    else this.#receiveSotw(bytes)
  }

  #of(type: string): OfType {
    const of = this.#types.get(type)
    if (!of) throw new Error(`a response of a type that was not asked for: ${type}`)
    return of
  }

  #receiveDelta(bytes: Buffer): void {
    const { typeUrl, resources, removedResources, nonce } = fromBinary(DeltaDiscoveryResponseSchema, bytes)
    const names = [...resources.map((one) => one.name), ...removedResources]
    if (new Set(names).size !== names.length) throw new Error(`duplicate name in the union of added and removed: ${names.join(' ')}`)
    const of = this.#of(typeUrl)
    const refused = this.#refused(resources.map((one) => one.name))
    for (const { name, version, resource } of resources) {
      if (!resource) throw new Error(`a resource without content: ${name}`)
      if (contentHash(resource.value) !== version) throw new Error(`the version of ${name} is not that of its content`)
      // What it asked no more for may still be under way.
      if (name !== refused && this.#wants(typeUrl, name)) of.held.set(name, version)
    }
    for (const name of removedResources) of.held.delete(name)
    this.#write(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { typeUrl, responseNonce: nonce, ...this.#detail(refused) })))
    this.#follow(typeUrl, resources.map((one) => ({ name: one.name, bytes: one.resource?.value ?? new Uint8Array() })), removedResources)
  }

  #receiveSotw(bytes: Buffer): void {
    const { typeUrl, resources, versionInfo, nonce } = fromBinary(DiscoveryResponseSchema, bytes)
    const of = this.#of(typeUrl)
    const got = resources.map((any) => ({ name: nameOf(typeUrl, any.value), bytes: any.value }))
    const refused = this.#refused(got.map((one) => one.name))
    const isSet = (wildcard as readonly string[]).includes(typeUrl)
    const gone = isSet ? [...of.held.keys()].filter((name) => !got.some((one) => one.name === name)) : []
    for (const name of gone) of.held.delete(name)
    for (const { name, bytes: content } of got) if (name !== refused && this.#wants(typeUrl, name)) of.held.set(name, contentHash(content))
    of.nonce = nonce
    if (refused === undefined) of.version = versionInfo
    this.#writeSotw(typeUrl, refused)
    this.#follow(typeUrl, got, gone)
  }

  /** Clusters lead to endpoints, scopes to routes. */
  #follow(type: string, got: readonly { name: string; bytes: Uint8Array }[], gone: readonly string[]): void {
    if (type !== CLUSTER && type !== SCOPED_ROUTE_CONFIGURATION) return
    const target = type === CLUSTER ? CLUSTER_LOAD_ASSIGNMENT : ROUTE_CONFIGURATION
    for (const one of got) this.#links.set(`${type} ${one.name}`, type === CLUSTER ? (isEds(one.bytes) ? one.name : '') : fromBinary(ScopedRouteConfigurationSchema, one.bytes).routeConfigurationName)
    for (const name of gone) this.#links.delete(`${type} ${name}`)
    const wanted = new Set<string>()
    for (const name of this.#of(type).held.keys()) {
      const link = this.#links.get(`${type} ${name}`) ?? ''
      if (link !== '') wanted.add(link)
    }
    const of = this.#of(target)
    const added = [...wanted].filter((name) => !of.names.has(name))
    const dropped = [...of.names].filter((name) => !wanted.has(name))
    for (const name of added) of.names.add(name)
    for (const name of dropped) {
      of.names.delete(name)
      of.held.delete(name)
    }
    if (added.length + dropped.length > 0) this.#ask(target, added, dropped)
  }

  readonly #links = new Map<string, string>()

  #ask(type: string, added: readonly string[], dropped: readonly string[]): void {
    const of = this.#of(type)
    if (this.protocol === 'sotw') {
      of.asked = true
      this.#writeSotw(type, undefined)
      return
    }
    const first = !of.asked
    of.asked = true
    this.#write(
      toBinary(
        DeltaDiscoveryRequestSchema,
        create(DeltaDiscoveryRequestSchema, {
          typeUrl: type,
          resourceNamesSubscribe: [...(first ? of.names : added)],
          resourceNamesUnsubscribe: first ? [] : [...dropped],
          initialResourceVersions: first ? Object.fromEntries(of.held) : {},
        }),
      ),
    )
  }

  #writeSotw(typeUrl: string, refused: string | undefined): void {
    const of = this.#of(typeUrl)
    this.#write(toBinary(DiscoveryRequestSchema, create(DiscoveryRequestSchema, { typeUrl, resourceNames: [...of.names], versionInfo: of.version, responseNonce: of.nonce, ...this.#detail(refused) })))
  }

  #wants(type: string, name: string): boolean {
    return (wildcard as readonly string[]).includes(type) || this.#of(type).names.has(name)
  }

  #refused(names: readonly string[]): string | undefined {
    if (names.length === 0 || this.#random.draw() >= this.nackShare) return undefined
    this.refusals += 1
    return names[Math.floor(this.#random.draw() * names.length)]
  }

  #detail(refused: string | undefined) {
    return refused === undefined ? {} : { errorDetail: create(StatusSchema, { code: 3, message: `${refused}: not this one` }) }
  }

  #write(bytes: Uint8Array): void {
    this.#send?.(Buffer.from(bytes))
  }
}

const isEds = (bytes: Uint8Array): boolean => fromBinary(ClusterSchema, bytes).edsClusterConfig !== undefined

function nameOf(type: string, bytes: Uint8Array): string {
  if (type === CLUSTER) return fromBinary(ClusterSchema, bytes).name
  if (type === LISTENER) return fromBinary(ListenerSchema, bytes).name
  if (type === SCOPED_ROUTE_CONFIGURATION) return fromBinary(ScopedRouteConfigurationSchema, bytes).name
  if (type === ROUTE_CONFIGURATION) return fromBinary(RouteConfigurationSchema, bytes).name
  return fromBinary(ClusterLoadAssignmentSchema, bytes).clusterName
}
