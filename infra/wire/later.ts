import { create } from '@bufbuild/protobuf'
import { type DescriptorProto, type FieldDescriptorProto, FieldDescriptorProto_Label as Label, FieldDescriptorProto_Type as Type, FieldDescriptorProtoSchema, type FileDescriptorProto } from '@bufbuild/protobuf/wkt'

/** Fields that Envoy has and the published descriptors do not have yet: names and numbers are the contract, those of Envoy's own files. */
const LATER: readonly { readonly file: string; readonly message: readonly string[]; readonly field: FieldDescriptorProto }[] = [
  {
    file: 'envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto',
    message: ['HttpConnectionManager', 'Tracing'],
    field: create(FieldDescriptorProtoSchema, { name: 'no_context_propagation', number: 13, label: Label.OPTIONAL, type: Type.BOOL, jsonName: 'noContextPropagation' }),
  },
]

/** The files with those fields, where they lack them. */
export const withLaterFields = (files: readonly FileDescriptorProto[]): FileDescriptorProto[] =>
  files.map((file) => LATER.filter((one) => one.file === file.name).reduce((all, { message, field }) => ({ ...all, messageType: all.messageType.map((one) => withField(one, message, field)) }), file))

function withField(message: DescriptorProto, [name, ...inner]: readonly string[], field: FieldDescriptorProto): DescriptorProto {
  if (message.name !== name) return message
  if (inner.length > 0) return { ...message, nestedType: message.nestedType.map((one) => withField(one, inner, field)) }
  return message.field.some((one) => one.number === field.number) ? message : { ...message, field: [...message.field, field] }
}
