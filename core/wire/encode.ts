import { type DescMessage, type MessageShape, toBinary } from '@bufbuild/protobuf'
import { murmur128 } from './murmur.ts'
import { sortMaps } from './sort-maps.ts'

/**
 * Bytes that depend on what a message says and not on how it was built: fields by number, map entries by key.
 * The content of an Any is bytes already; packAny made them the same way. The message itself is left alone.
 */
export function encodeCanonical<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Uint8Array<ArrayBuffer> {
  return toBinary(schema, sortMaps(schema, message))
}

/** 32 hex digits that stand for the bytes: the version of a resource. Not a defence against a forger. */
export function contentHash(bytes: Uint8Array): string {
  return murmur128(bytes, 0)
}
