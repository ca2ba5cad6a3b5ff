import { create, fromBinary, type JsonObject, toBinary } from '@bufbuild/protobuf'
import { StructSchema } from '@bufbuild/protobuf/wkt'
import type { ProxyNode } from '#core/workload/node.ts'

/** Who a proxy says that it serves, beyond what its certificate proves. */
export interface PeerMetadata {
  readonly workload: string
  readonly namespace: string
  readonly cluster: string
  readonly app: string
  readonly version: string
  readonly service: string
  readonly revision: string
}

/** A peer that says more is not listened to. */
const TEXT_MAX = 8192

/**
 * The value of `x-envoy-peer-metadata`, as Istio's metadata exchange has it (istio/proxy, extensions/common/metadata_object.cc): a google.protobuf.Struct in base64. Beside it goes
 * `x-envoy-peer-metadata-id`, the node's id. `workload`: the node's name without its replica's.
 */
export function peerMetadataOf(node: ProxyNode, workload: string): string {
  const { app = '', version = '', 'service.istio.io/canonical-name': service = app, 'service.istio.io/canonical-revision': revision = version } = node.labels
  const labels: JsonObject = Object.fromEntries([['app', app], ['service.istio.io/canonical-name', service], ['service.istio.io/canonical-revision', revision === '' ? 'latest' : revision], ['version', version]].filter(([, value]) => value !== ''))
  const struct = {
    CLUSTER_ID: node.cluster,
    LABELS: labels,
    NAME: node.name,
    NAMESPACE: node.namespace,
    OWNER: `kubernetes://apis/apps/v1/namespaces/${node.namespace}/deployments/${workload}`,
    WORKLOAD_NAME: workload,
  }
  return Buffer.from(toBinary(StructSchema, create(StructSchema, { fields: fieldsOf(struct) }))).toString('base64')
}

/** What a peer said; undefined when it is none of that form. */
export function readPeerMetadata(text: string): PeerMetadata | undefined {
  if (text.length > TEXT_MAX) return undefined
  try {
    const { fields } = fromBinary(StructSchema, Buffer.from(text, 'base64'))
    const word = (from: Fields, name: string): string => {
      const kind = from[name]?.kind
      return kind?.case === 'stringValue' ? kind.value : ''
    }
    const { LABELS } = fields
    const labels = LABELS?.kind.case === 'structValue' ? LABELS.kind.value.fields : {}
    const app = word(labels, 'app')
    const version = word(labels, 'version')
    return {
      workload: word(fields, 'WORKLOAD_NAME'),
      namespace: word(fields, 'NAMESPACE'),
      cluster: word(fields, 'CLUSTER_ID'),
      app,
      version,
      service: word(labels, 'service.istio.io/canonical-name') || app,
      revision: word(labels, 'service.istio.io/canonical-revision') || version || 'latest',
    }
  } catch {
    // Not a Struct.
    return undefined
  }
}

type Fields = ReturnType<typeof fromBinary<typeof StructSchema>>['fields']

function fieldsOf(object: Readonly<Record<string, string | JsonObject>>): Fields {
  const struct = create(StructSchema)
  for (const [name, value] of Object.entries(object)) {
    struct.fields[name] = { $typeName: 'google.protobuf.Value', kind: typeof value === 'string' ? { case: 'stringValue', value } : { case: 'structValue', value: create(StructSchema, { fields: fieldsOf(textsOf(value)) }) } }
  }
  return struct.fields
}

const textsOf = (object: JsonObject): Record<string, string> => Object.fromEntries(Object.entries(object).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])))
