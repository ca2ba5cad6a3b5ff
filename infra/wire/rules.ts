import { create, type Message } from '@bufbuild/protobuf'
import { type DescriptorProto, type FieldDescriptorProto, FieldOptionsSchema, type FileDescriptorProto, MessageOptionsSchema, type OneofDescriptorProto, OneofOptionsSchema } from '@bufbuild/protobuf/wkt'

/** What declares the rules: extensions of field, oneof and message options (protoc-gen-validate). */
export const RULES_FILE = 'validate/validate.proto'

/** Numbers of its extensions: `rules`, `required` and `disabled`; `ignored`. */
const EXTENSIONS: readonly number[] = [1071, 1072]

/**
 * A stripped file with the validation rules of the published one put back: what a message must hold for Envoy to take it.
 * No generated code has them; they are kept for whoever judges messages by them.
 */
export function withRules(stripped: FileDescriptorProto, published: FileDescriptorProto): FileDescriptorProto {
  if (!published.dependency.includes(RULES_FILE)) return stripped
  return { ...stripped, dependency: [...stripped.dependency, RULES_FILE], messageType: stripped.messageType.map((one, index) => messageWithRules(one, published.messageType[index])) }
}

function messageWithRules(stripped: DescriptorProto, published: DescriptorProto | undefined): DescriptorProto {
  if (published === undefined) return stripped
  return {
    ...stripped,
    field: stripped.field.map((one, index): FieldDescriptorProto => ruled(one, published.field[index]?.options, one.options ?? create(FieldOptionsSchema))),
    oneofDecl: stripped.oneofDecl.map((one, index): OneofDescriptorProto => ruled(one, published.oneofDecl[index]?.options, create(OneofOptionsSchema))),
    nestedType: stripped.nestedType.map((one, index) => messageWithRules(one, published.nestedType[index])),
    ...ruled({}, published.options, stripped.options ?? create(MessageOptionsSchema)),
  }
}

/** With the rules among the published options beside whatever options it has; as it is when there are none. */
function ruled<T extends object, Options extends Message>(bare: T, published: Message | undefined, options: Options): T & { options?: Options } {
  const rules = published?.$unknown?.filter((one) => EXTENSIONS.includes(one.no)) ?? []
  if (rules.length === 0) return bare
  // Presence of scalars lies in a message's prototype, so options are not copied by spreading.
  options.$unknown = rules
  return { ...bare, options }
}
