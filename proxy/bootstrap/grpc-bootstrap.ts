import { type JsonObject, toJson } from '@bufbuild/protobuf'
import { NodeSchema } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import { writeNode } from '#core/workload/node-message.ts'
import type { ProxyNode } from '#core/workload/node.ts'

export interface GrpcBootstrap {
  readonly node: ProxyNode
  /** `HOST:PORT` of the control plane's xDS port. */
  readonly target: string
  /** Files that whoever holds the workload's identity keeps fresh; undefined: discovery in plaintext on loopback, and no mutual TLS. */
  readonly certificates: { readonly certificate: string; readonly privateKey: string; readonly roots: string } | undefined
  /** File with the root by which the control plane is verified, which is none of the mesh's; undefined: the mesh's roots serve. */
  readonly controlPlaneRoots?: string | undefined
}

/** The bootstrap file of a gRPC client or server without a proxy (gRFC A27, A29, A65): name it in GRPC_XDS_BOOTSTRAP. */
export function grpcBootstrap({ node, target, certificates, controlPlaneRoots }: GrpcBootstrap): JsonObject {
  const json = toJson(NodeSchema, writeNode({ ...node, type: 'grpc', grpcCertificates: certificates !== undefined }), { useProtoFieldName: true })
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new Error('a message is a JSON object')
  // gRPC fills in its own name, version and features.
  const { id = '', metadata = {}, locality = {} } = json
  const files = certificates && { certificate_file: certificates.certificate, private_key_file: certificates.privateKey, ca_certificate_file: certificates.roots, refresh_interval: '60s' }
  return {
    xds_servers: [{ server_uri: target, channel_creds: [files ? { type: 'tls', config: { ...files, ...(controlPlaneRoots === undefined ? {} : { ca_certificate_file: controlPlaneRoots }) } } : { type: 'insecure' }], server_features: ['xds_v3'] }],
    // A36: by which name a server asks for its listener.
    server_listener_resource_name_template: 'grpc/server/%s',
    // grpc-js takes a node without a locality for a broken file.
    node: { id, metadata, locality },
    ...(files ? { certificate_providers: { default: { plugin_name: 'file_watcher', config: files } } } : {}),
  }
}
