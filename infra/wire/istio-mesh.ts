import { create } from '@bufbuild/protobuf'
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  MessageOptionsSchema,
} from '@bufbuild/protobuf/wkt'

const { STRING, INT32, UINT32, MESSAGE } = Type
const field = (name: string, number: number, jsonName: string, type: Type, label: Label = Label.OPTIONAL) => ({ name, number, label, type, jsonName })
const message = (name: string, number: number, jsonName: string, typeName: string, label: Label = Label.OPTIONAL) => ({ ...field(name, number, jsonName, MESSAGE, label), typeName })

/**
 * How a workload is asked whether it is ready.
 * Names and numbers are the contract; they are those of istio.io/api networking/v1alpha3/workload_group.proto.
 */
export const istioProbe: FileDescriptorProto = create(FileDescriptorProtoSchema, {
  name: 'istio/networking/v1alpha3/workload_group.proto',
  package: 'istio.networking.v1alpha3',
  syntax: 'proto3',
  messageType: [
    {
      name: 'ReadinessProbe',
      field: [
        field('initial_delay_seconds', 2, 'initialDelaySeconds', INT32),
        field('timeout_seconds', 3, 'timeoutSeconds', INT32),
        field('period_seconds', 4, 'periodSeconds', INT32),
        field('success_threshold', 5, 'successThreshold', INT32),
        field('failure_threshold', 6, 'failureThreshold', INT32),
        message('http_get', 7, 'httpGet', '.istio.networking.v1alpha3.HTTPHealthCheckConfig'),
        message('tcp_socket', 8, 'tcpSocket', '.istio.networking.v1alpha3.TCPHealthCheckConfig'),
        message('exec', 9, 'exec', '.istio.networking.v1alpha3.ExecHealthCheckConfig'),
        message('grpc', 10, 'grpc', '.istio.networking.v1alpha3.GrpcHealthCheckConfig'),
      ],
    },
    {
      name: 'HTTPHealthCheckConfig',
      field: [
        field('path', 1, 'path', STRING),
        field('port', 2, 'port', UINT32),
        field('host', 3, 'host', STRING),
        field('scheme', 4, 'scheme', STRING),
        message('http_headers', 5, 'httpHeaders', '.istio.networking.v1alpha3.HTTPHeader', Label.REPEATED),
      ],
    },
    { name: 'HTTPHeader', field: [field('name', 1, 'name', STRING), field('value', 2, 'value', STRING)] },
    { name: 'TCPHealthCheckConfig', field: [field('host', 1, 'host', STRING), field('port', 2, 'port', UINT32)] },
    { name: 'ExecHealthCheckConfig', field: [field('command', 1, 'command', STRING, Label.REPEATED)] },
    { name: 'GrpcHealthCheckConfig', field: [field('port', 1, 'port', UINT32), field('service', 2, 'service', STRING)] },
  ],
})

/**
 * What a proxy starts with: of Istio's message the fields that an agent is told.
 * Names and numbers are the contract; they are those of istio.io/api mesh/v1alpha1/proxy.proto.
 */
export const istioMesh: FileDescriptorProto = create(FileDescriptorProtoSchema, {
  name: 'istio/mesh/v1alpha1/proxy.proto',
  package: 'istio.mesh.v1alpha1',
  syntax: 'proto3',
  dependency: ['google/protobuf/wrappers.proto', istioProbe.name],
  messageType: [
    {
      name: 'ProxyConfig',
      field: [
        message('concurrency', 16, 'concurrency', '.google.protobuf.Int32Value'),
        message('proxy_metadata', 24, 'proxyMetadata', '.istio.mesh.v1alpha1.ProxyConfig.ProxyMetadataEntry', Label.REPEATED),
        message('readiness_probe', 31, 'readinessProbe', '.istio.networking.v1alpha3.ReadinessProbe'),
      ],
      nestedType: [{ name: 'ProxyMetadataEntry', field: [field('key', 1, 'key', STRING), field('value', 2, 'value', STRING)], options: create(MessageOptionsSchema, { mapEntry: true }) }],
    },
  ],
})
