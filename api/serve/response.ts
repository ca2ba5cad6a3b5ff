import { toBinary } from '@bufbuild/protobuf'
import { durationFromMs, DurationSchema } from '@bufbuild/protobuf/wkt'
import { ResourceSchema } from '#core/wire/gen/envoy/service/discovery/v3/discovery_pb.ts'
import { typeUrlOf } from '#core/wire/type-url.ts'
import { fieldBytes, fieldHead, FieldWriter, repeatedString, stringBytes, stringField } from './protobuf.ts'
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

/** What tags, lengths and the type URL of an Any add to a resource, at most. */
const frameBytes = 120

/** About what a resource takes within a response, without making it: never less for names of plain ASCII, as all of ours are. */
export const sizeWithin = (resource: Resource): number => frameBytes + resource.name.length + resource.version.length + resource.bytes.length

/** By type URL, the field of an Any that says it. */
const typeFields = new Map<string, Uint8Array>()

function typeField(type: string): Uint8Array {
  const known = typeFields.get(type)
  if (known) return known
  const made = stringField(1, type)
  typeFields.set(type, made)
  return made
}

/**
 * A DiscoveryResponse or DeltaDiscoveryResponse (envoy.service.discovery.v3), laid around resources that were encoded before: in delta a `Resource` for each (version 1, resource 2, name 3, aliases 4), in SotW an `Any` (type_url 1, value 2).
 * Field order is free in protobuf. It is written where it stays, in two goes over the resources: nothing is made for each of them but its place.
 */
export function encodeAnswer(protocol: Protocol, answer: Answer): Buffer {
  const before = stringField(1, String(answer.revision))
  const after = Buffer.concat([stringField(4, answer.type), stringField(5, answer.nonce), ...(protocol === 'delta' ? answer.removed.map((name) => repeatedString(6, name)) : [])])
  const living = answer.ttl === undefined ? undefined : answer.resources.map((resource) => (resource.ttlMs === undefined ? undefined : livingResource(protocol, resource, resource.ttlMs, answer.ttl === 'lives')))
  const lengths = answer.resources.map((resource) => lengthOf(protocol, resource))
  const writer = new FieldWriter(before.length + lengths.reduce((sum, length, at) => sum + (living?.[at]?.length ?? fieldBytes(resourcesField, length)), 0) + after.length)
  writer.raw(before)
  for (const [at, resource] of answer.resources.entries()) {
    const made = living?.[at]
    if (made) writer.raw(made)
    else {
      writer.head(resourcesField, lengths[at] ?? 0)
      writeResource(writer, protocol, resource)
    }
  }
  writer.raw(after)
  return writer.bytes
}

const anyLengthOf = ({ type, bytes }: Resource): number => typeField(type).length + fieldBytes(2, bytes.length)

function lengthOf(protocol: Protocol, resource: Resource): number {
  if (protocol === 'sotw') return anyLengthOf(resource)
  let length = stringBytes(1, resource.version) + stringBytes(3, resource.name)
  for (const alias of resource.aliases ?? []) length += stringBytes(4, alias)
  return resource.absent ? length : length + fieldBytes(2, anyLengthOf(resource))
}

function writeResource(writer: FieldWriter, protocol: Protocol, resource: Resource): void {
  if (protocol === 'delta') {
    writer.text(1, resource.version)
    writer.text(3, resource.name)
    for (const alias of resource.aliases ?? []) writer.text(4, alias)
    if (resource.absent) return
    writer.head(2, anyLengthOf(resource))
  }
  writer.raw(typeField(resource.type))
  writer.head(2, resource.bytes.length)
  writer.raw(resource.bytes)
}
