/**
 * Every message of ours by name, for JSON with an Any in it: config dump, explain, tests.
 * It loads all of core/wire/gen; a proxy that serves traffic imports the few messages it reads instead.
 */
import { createRegistry, type DescMessage, fromJson, type JsonValue, type MessageShape, type Registry, toJson } from '@bufbuild/protobuf'
import {
  file_google_protobuf_any,
  file_google_protobuf_duration,
  file_google_protobuf_empty,
  file_google_protobuf_field_mask,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_wrappers,
} from '@bufbuild/protobuf/wkt'
import { files } from './gen/files.ts'

// Filled on first use: whoever imports this for one command of many does not pay for the others.
const built: { registry?: Registry } = {}

/** The registry of all generated files and the well-known types. */
export function wireRegistry(): Registry {
  return (built.registry ??= createRegistry(
    file_google_protobuf_any,
    file_google_protobuf_duration,
    file_google_protobuf_empty,
    file_google_protobuf_field_mask,
    file_google_protobuf_struct,
    file_google_protobuf_timestamp,
    file_google_protobuf_wrappers,
    ...files,
  ))
}

/**
 * A message as JSON (protobuf.dev/programming-guides/json), in lower camel case or by the names in the .proto files, as Envoy's admin page has them.
 * @throws when an Any inside holds a type that is not ours
 */
export function messageToJson<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>, names: 'camel' | 'proto' = 'camel'): JsonValue {
  return toJson(schema, message, { registry: wireRegistry(), useProtoFieldName: names === 'proto' })
}

/**
 * A message from JSON in either case.
 * @throws when a field is unknown or has the wrong shape; the error names the field
 */
export function messageFromJson<Desc extends DescMessage>(schema: Desc, json: JsonValue): MessageShape<Desc> {
  return fromJson(schema, json, { registry: wireRegistry() })
}
