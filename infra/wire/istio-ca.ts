import { create } from '@bufbuild/protobuf'
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
} from '@bufbuild/protobuf/wkt'

/**
 * The certificate service that every Istio agent speaks: a CSR goes in, a chain comes out, leaf first.
 * Names and numbers are the contract; they are those of istio.io/api security/v1alpha1/ca.proto (number 2 is unused there).
 */
export const istioCa: FileDescriptorProto = create(FileDescriptorProtoSchema, {
  name: 'istio/v1/auth/ca.proto',
  package: 'istio.v1.auth',
  syntax: 'proto3',
  dependency: ['google/protobuf/struct.proto'],
  messageType: [
    {
      name: 'IstioCertificateRequest',
      field: [
        { name: 'csr', number: 1, label: Label.OPTIONAL, type: Type.STRING, jsonName: 'csr' },
        { name: 'validity_duration', number: 3, label: Label.OPTIONAL, type: Type.INT64, jsonName: 'validityDuration' },
        { name: 'metadata', number: 4, label: Label.OPTIONAL, type: Type.MESSAGE, typeName: '.google.protobuf.Struct', jsonName: 'metadata' },
      ],
    },
    {
      name: 'IstioCertificateResponse',
      field: [{ name: 'cert_chain', number: 1, label: Label.REPEATED, type: Type.STRING, jsonName: 'certChain' }],
    },
  ],
  service: [
    {
      name: 'IstioCertificateService',
      method: [
        {
          name: 'CreateCertificate',
          inputType: '.istio.v1.auth.IstioCertificateRequest',
          outputType: '.istio.v1.auth.IstioCertificateResponse',
        },
      ],
    },
  ],
})
