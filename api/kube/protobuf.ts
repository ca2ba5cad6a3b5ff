import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import { Faults, fault } from '#core/fault/fault.ts'

// kubectl's `create` commands send core kinds as protobuf and offer nothing else. The numbers are those of k8s.io/api/core/v1/generated.proto
// and k8s.io/apimachinery/pkg/{runtime,apis/meta/v1}/generated.proto.

type Reads = 'text' | 'bytes' | 'int' | 'bool' | 'int-or-text' | 'text-map' | 'bytes-map' | Message
interface Field {
  readonly name: string
  readonly reads: Reads
  readonly repeated?: true
}
type Message = Readonly<Record<number, Field>>

const one = (name: string, reads: Reads): Field => ({ name, reads })
const many = (name: string, reads: Reads): Field => ({ name, reads, repeated: true })

const OWNER: Message = { 1: one('kind', 'text'), 3: one('name', 'text'), 4: one('uid', 'text'), 5: one('apiVersion', 'text'), 6: one('controller', 'bool'), 7: one('blockOwnerDeletion', 'bool') }
const META: Message = {
  1: one('name', 'text'), 2: one('generateName', 'text'), 3: one('namespace', 'text'), 5: one('uid', 'text'), 6: one('resourceVersion', 'text'), 7: one('generation', 'int'),
  11: one('labels', 'text-map'), 12: one('annotations', 'text-map'), 13: many('ownerReferences', OWNER), 14: many('finalizers', 'text'),
}
const PORT: Message = { 1: one('name', 'text'), 2: one('protocol', 'text'), 3: one('port', 'int'), 4: one('targetPort', 'int-or-text'), 5: one('nodePort', 'int'), 6: one('appProtocol', 'text') }
const SERVICE: Message = {
  1: many('ports', PORT), 2: one('selector', 'text-map'), 3: one('clusterIP', 'text'), 4: one('type', 'text'), 5: many('externalIPs', 'text'), 7: one('sessionAffinity', 'text'), 8: one('loadBalancerIP', 'text'),
  9: many('loadBalancerSourceRanges', 'text'), 10: one('externalName', 'text'), 11: one('externalTrafficPolicy', 'text'), 12: one('healthCheckNodePort', 'int'), 13: one('publishNotReadyAddresses', 'bool'),
  17: one('ipFamilyPolicy', 'text'), 18: many('clusterIPs', 'text'), 19: many('ipFamilies', 'text'), 20: one('allocateLoadBalancerNodePorts', 'bool'), 21: one('loadBalancerClass', 'text'),
  22: one('internalTrafficPolicy', 'text'), 23: one('trafficDistribution', 'text'),
}
const ATTRIBUTES: Message = { 1: one('namespace', 'text'), 2: one('verb', 'text'), 3: one('group', 'text'), 4: one('version', 'text'), 5: one('resource', 'text'), 6: one('subresource', 'text'), 7: one('name', 'text') }
const metadata = one('metadata', META)
const KINDS: Readonly<Record<string, Message>> = {
  Namespace: { 1: metadata, 2: one('spec', { 1: many('finalizers', 'text') }) },
  Secret: { 1: metadata, 2: one('data', 'bytes-map'), 3: one('type', 'text'), 4: one('stringData', 'text-map'), 5: one('immutable', 'bool') },
  ConfigMap: { 1: metadata, 2: one('data', 'text-map'), 3: one('binaryData', 'bytes-map'), 4: one('immutable', 'bool') },
  ServiceAccount: { 1: metadata, 3: many('imagePullSecrets', { 1: one('name', 'text') }), 4: one('automountServiceAccountToken', 'bool') },
  Service: { 1: metadata, 2: one('spec', SERVICE) },
  // Of k8s.io/api/authorization/v1/generated.proto.
  SelfSubjectAccessReview: { 2: one('spec', { 1: one('resourceAttributes', ATTRIBUTES), 2: one('nonResourceAttributes', { 1: one('path', 'text'), 2: one('verb', 'text') }) }) },
  DeleteOptions: { 1: one('gracePeriodSeconds', 'int'), 2: one('preconditions', { 1: one('uid', 'text'), 2: one('resourceVersion', 'text') }), 4: one('propagationPolicy', 'text'), 5: many('dryRun', 'text') },
}
const ENVELOPE: Message = { 1: one('typeMeta', { 1: one('apiVersion', 'text'), 2: one('kind', 'text') }), 2: one('raw', 'bytes') }
const MAGIC = Buffer.from('k8s\0')

/** An object in Kubernetes' protobuf form, as the JSON form would have it. @throws Faults 'object.unreadable' */
export function readProtobuf(bytes: Uint8Array): unknown {
  const unreadable = (rule: string): Faults => new Faults([fault('object.unreadable', { path: '', rule })])
  if (!MAGIC.equals(bytes.subarray(0, MAGIC.length))) throw unreadable('Kubernetes’ protobuf envelope')
  try {
    const envelope = readMessage(new BinaryReader(bytes.subarray(MAGIC.length)), ENVELOPE)
    const { apiVersion, kind } = (envelope['typeMeta'] ?? {}) as { apiVersion?: string; kind?: string }
    const message = KINDS[kind ?? '']
    if (message === undefined || apiVersion === undefined) throw unreadable(`application/json for ${kind ?? 'this kind'}`)
    return { apiVersion, kind, ...readMessage(new BinaryReader(Buffer.from(String(envelope['raw'] ?? ''), 'base64')), message) }
  } catch (error) {
    if (error instanceof Faults) throw error
    throw unreadable(`protobuf that can be read: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function readMessage(reader: BinaryReader, message: Message, end = reader.len): Record<string, unknown> {
  const object: Record<string, unknown> = {}
  while (reader.pos < end) {
    const [number, wire] = reader.tag()
    const field = message[number]
    if (field === undefined) {
      reader.skip(wire, number)
      continue
    }
    const value = readValue(reader, field.reads, wire, object[field.name])
    // Zero values are written out by Kubernetes' encoder and mean nothing.
    if (value === '' || value === undefined) continue
    if (field.repeated) object[field.name] = [...((object[field.name] ?? []) as unknown[]), value]
    else object[field.name] = value
  }
  return object
}

function readValue(reader: BinaryReader, reads: Reads, wire: WireType, before: unknown): unknown {
  switch (reads) {
    case 'text':
      return reader.string()
    case 'bytes':
      return Buffer.from(reader.bytes()).toString('base64')
    case 'int': {
      const value = Number(reader.int64())
      return value === 0 ? undefined : value
    }
    case 'bool':
      return reader.bool()
    case 'text-map':
    case 'bytes-map': {
      const entry = readMessage(reader, { 1: one('key', 'text'), 2: one('value', reads === 'text-map' ? 'text' : 'bytes') }, reader.uint32() + reader.pos)
      return Object.fromEntries([...Object.entries((before ?? {}) as object), [String(entry['key'] ?? ''), entry['value'] ?? '']])
    }
    case 'int-or-text': {
      const { type, int, text } = readMessage(reader, { 1: one('type', 'int'), 2: one('int', 'int'), 3: one('text', 'text') }, reader.uint32() + reader.pos)
      return type === 1 ? text : int
    }
    default:
      if (wire !== WireType.LengthDelimited) throw new RangeError('a message has a length')
      return readMessage(reader, reads, reader.uint32() + reader.pos)
  }
}
