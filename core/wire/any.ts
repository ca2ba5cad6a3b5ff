import { create, type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf'
import { type Any, AnySchema } from '@bufbuild/protobuf/wkt'
import { encodeCanonical } from './encode.ts'
import { typeUrlOf } from './type-url.ts'

/** Wraps a message; equal messages give equal bytes, so whatever contains the Any can be hashed. */
export function packAny<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Any {
  return create(AnySchema, { typeUrl: typeUrlOf(schema), value: encodeCanonical(schema, message) })
}

/**
 * The message inside, or undefined when there is no Any or it holds another type.
 * Only what follows the last slash of the type URL counts (google/protobuf/any.proto).
 * @throws when the bytes are no such message
 */
export function unpackAny<Desc extends DescMessage>(any: Any | undefined, schema: Desc): MessageShape<Desc> | undefined {
  if (any === undefined) return undefined
  const typeName = any.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1)
  return typeName === schema.typeName ? fromBinary(schema, any.value) : undefined
}
