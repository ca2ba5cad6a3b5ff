import { create } from '@bufbuild/protobuf'
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  MessageOptionsSchema,
} from '@bufbuild/protobuf/wkt'

const text = (name: string, number: number, jsonName: string, label: Label = Label.OPTIONAL) => ({ name, number, label, type: Type.STRING, jsonName })

/**
 * Names and addresses, as Istio's control plane tells its sidecars' resolvers.
 * Names and numbers are the contract; they are those of istio/istio pkg/dns/proto/nds.proto.
 */
export const istioNds: FileDescriptorProto = create(FileDescriptorProtoSchema, {
  name: 'istio/networking/nds/v1/nds.proto',
  package: 'istio.networking.nds.v1',
  syntax: 'proto3',
  messageType: [
    {
      name: 'NameTable',
      field: [{ name: 'table', number: 1, label: Label.REPEATED, type: Type.MESSAGE, typeName: '.istio.networking.nds.v1.NameTable.TableEntry', jsonName: 'table' }],
      nestedType: [
        {
          name: 'NameInfo',
          field: [text('ips', 1, 'ips', Label.REPEATED), text('registry', 2, 'registry'), text('shortname', 3, 'shortname'), text('namespace', 4, 'namespace'), text('alt_hosts', 5, 'altHosts', Label.REPEATED)],
        },
        {
          name: 'TableEntry',
          field: [text('key', 1, 'key'), { name: 'value', number: 2, label: Label.OPTIONAL, type: Type.MESSAGE, typeName: '.istio.networking.nds.v1.NameTable.NameInfo', jsonName: 'value' }],
          options: create(MessageOptionsSchema, { mapEntry: true }),
        },
      ],
    },
  ],
})
