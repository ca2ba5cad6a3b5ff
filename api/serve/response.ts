import { toBinary } from '@bufbuild/protobuf'
import { durationFromMs, DurationSchema } from '@bufbuild/protobuf/wkt'
import { ResourceSchema } from '#core/wire/gen/envoy/service/discovery/v3/discovery_pb.ts'
import { typeUrlOf } from '#core/wire/type-url.ts'
import { fieldHead, repeatedString, stringField } from './protobuf.ts'
import type { Protocol } from './request.ts'
import type { Resource } from './resource.ts'

/** What one response says, before it is bytes. */
export interface Answer {
  readonly type: string
  readonly nonce: string
  /** The mesh revision, for people who look at a proxy, or what the view calls the version: system_version_info, or version_info in SotW. */
  readonly revision: number | string
  readonly resources: readonly Resource[]
  /** Delta only: names that are gone, or that are not there. */
  readonly removed: readonly string[]
  /** The client takes a time to live where a resource has one: `lives`, or this is a heartbeat: name, version and time without content, which is no update (xds-rules 27). */
  readonly ttl?: 'lives' | 'heartbeat'
}

/**
 * What stands before a resource's bytes in a response. In delta a `Resource` (name 3, version 1, resource 2), in SotW an `Any` (type_url 1, value 2).
 * Field order is free in protobuf, so the content goes last, and what precedes it is made once per Resource and shared by all streams.
 */
const heads: Readonly<Record<Protocol, WeakMap<Resource, Uint8Array>>> = { delta: new WeakMap(), sotw: new WeakMap() }

const resourcesField = 2
const RESOURCE = typeUrlOf(ResourceSchema)

/** A `Resource` with its time to live: whole, or the heartbeat of one. In SotW it is itself what the Any holds (xDS protocol, "TTL"). */
function livingResource(protocol: Protocol, resource: Resource, ttlMs: number, content: boolean): Uint8Array {
  const any = content ? [stringField(1, resource.type), fieldHead(2, resource.bytes.length), resource.bytes] : []
  const anyLength = any.reduce((sum, part) => sum + part.length, 0)
  const ttl = toBinary(DurationSchema, durationFromMs(ttlMs))
  const parts = [stringField(1, resource.version), ...(content ? [fieldHead(2, anyLength), ...any] : []), stringField(3, resource.name), fieldHead(6, ttl.length), ttl]
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  if (protocol === 'delta') return Buffer.concat([fieldHead(resourcesField, length), ...parts])
  const type = stringField(1, RESOURCE)
  const value = fieldHead(2, length)
  return Buffer.concat([fieldHead(resourcesField, type.length + value.length + length), type, value, ...parts])
}

function makeHead(protocol: Protocol, resource: Resource): Uint8Array {
  const type = stringField(1, resource.type)
  const value = fieldHead(2, resource.bytes.length)
  const anyLength = type.length + value.length + resource.bytes.length
  if (protocol === 'sotw') return Buffer.concat([fieldHead(resourcesField, anyLength), type, value])
  const said = [stringField(1, resource.version), stringField(3, resource.name), ...(resource.aliases ?? []).map((alias) => stringField(4, alias))]
  const saidLength = said.reduce((sum, part) => sum + part.length, 0)
  if (resource.absent) return Buffer.concat([fieldHead(resourcesField, saidLength), ...said])
  const any = fieldHead(2, anyLength)
  return Buffer.concat([fieldHead(resourcesField, saidLength + any.length + anyLength), ...said, any, type, value])
}

function headOf(protocol: Protocol, resource: Resource): Uint8Array {
  const known = heads[protocol].get(resource)
  if (known) return known
  const made = makeHead(protocol, resource)
  heads[protocol].set(resource, made)
  return made
}

/** What tags, lengths and the type URL of an Any add to a resource, at most. */
const frameBytes = 120

/** About what a resource takes within a response, without making it: never less for names of plain ASCII, as all of ours are. */
export const sizeWithin = (resource: Resource): number => frameBytes + resource.name.length + resource.version.length + resource.bytes.length

/** A DiscoveryResponse or DeltaDiscoveryResponse (envoy.service.discovery.v3), laid around resources that were encoded before. */
export function encodeAnswer(protocol: Protocol, answer: Answer): Buffer {
  const parts: Uint8Array[] = [stringField(1, String(answer.revision))]
  for (const resource of answer.resources) {
    if (answer.ttl !== undefined && resource.ttlMs !== undefined) parts.push(livingResource(protocol, resource, resource.ttlMs, answer.ttl === 'lives'))
    else parts.push(headOf(protocol, resource), resource.bytes)
  }
  parts.push(stringField(4, answer.type), stringField(5, answer.nonce))
  if (protocol === 'delta') for (const name of answer.removed) parts.push(repeatedString(6, name))
  return Buffer.concat(parts)
}
