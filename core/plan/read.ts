import { type DescMessage, fromBinary, isFieldSet, type MessageShape } from '@bufbuild/protobuf'
import type { Any } from '@bufbuild/protobuf/wkt'
import { type Fault, fault } from '../fault/fault.ts'

/** What a reader makes of one resource: a plan, or everything that keeps it from being one, for the NACK. */
export type Read<T> = { readonly ok: true; readonly plan: T } | { readonly ok: false; readonly faults: Fault[] }

/** A field path in proto names: `filter_chains[0].filters[1].typed_config`. */
export function at(path: string, field: string, index?: number | string): string {
  const step = index === undefined ? field : `${field}[${index}]`
  return path === '' ? step : `${path}.${step}`
}

/**
 * One resource being read: it gathers faults, so that a NACK names them all. Whatever Weft cannot carry out is refused by name: readers say which fields of a message
 * they act on (or may leave out without changing what happens), and any other field that is set is a fault.
 */
export class Reading {
  readonly faults: Fault[] = []

  unsupported(path: string, rule: string, value?: unknown): void {
    this.faults.push(fault('xds.unsupported', { path, rule, ...(value === undefined ? {} : { value }) }))
  }

  invalid(path: string, rule: string, value?: unknown): void {
    this.faults.push(fault('xds.invalid', { path, rule, ...(value === undefined ? {} : { value }) }))
  }

  /** Faults for every field that is set and not among these; names as in the .proto file. */
  only<Desc extends DescMessage>(path: string, schema: Desc, message: MessageShape<Desc>, fields: readonly string[]): void {
    for (const field of schema.fields) {
      if (!fields.includes(field.name) && isFieldSet(message, field)) this.unsupported(at(path, field.name), 'is not supported')
    }
    for (const unknown of message.$unknown ?? []) this.unsupported(at(path, `#${unknown.no}`), 'is a field that is not known')
  }

  /** The message inside an Any whose type the caller has looked at; undefined with a fault when the bytes are none. */
  unpack<Desc extends DescMessage>(path: string, any: Any, schema: Desc): MessageShape<Desc> | undefined {
    return this.decode(path, any.value, schema)
  }

  decode<Desc extends DescMessage>(path: string, bytes: Uint8Array, schema: Desc): MessageShape<Desc> | undefined {
    try {
      return fromBinary(schema, bytes)
    } catch (cause) {
      this.invalid(path, `is no ${schema.typeName}: ${cause instanceof Error ? cause.message : String(cause)}`)
      return undefined
    }
  }

  finish<T>(plan: T | undefined): Read<T> {
    if (this.faults.length > 0 || plan === undefined) return { ok: false, faults: this.faults }
    return { ok: true, plan }
  }
}

/** Reads a resource from its bytes: `read` is handed the message and gathers its faults in the Reading. */
export function readResource<Desc extends DescMessage, T>(schema: Desc, bytes: Uint8Array, read: (reading: Reading, message: MessageShape<Desc>) => T | undefined): Read<T> {
  const reading = new Reading()
  const message = reading.decode('', bytes, schema)
  return reading.finish(message === undefined ? undefined : read(reading, message))
}

/** What follows the last slash of an Any's type URL. */
export function typeNameOf(any: Any): string {
  return any.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1)
}
