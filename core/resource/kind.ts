import type { z } from 'zod'
import type { Fault } from '../fault/fault.ts'
import type { ResourceObject } from './object.ts'

/** All that Weft knows of one kind of object: its file exports one of these, and `registry.ts` lists them. */
export interface ResourceKind<Spec = unknown> {
  readonly group: string
  /** Served versions, the stored one first. */
  readonly versions: readonly [string, ...string[]]
  readonly kind: string
  readonly plural: string
  readonly singular: string
  readonly shortNames: readonly string[]
  readonly categories: readonly string[]
  readonly namespaced: boolean
  /** One sentence for `kubectl explain`. */
  readonly description: string
  /** Fields beside apiVersion, kind, metadata and status: `{ spec: … }`, or a Secret's `{ type, data, stringData }`. Strict: unknown fields are faults. Descriptions are the fields' documentation. */
  readonly fields: z.ZodType<Spec>
  /** What the schema cannot say. Paths from the object's root. Runs only when the schema is met. */
  check(object: ResourceObject & Spec): Fault[]
  /** Fields within which values are never shown: a Secret's data. Reads answer a placeholder there. */
  readonly secretFields: readonly string[]
  readonly printerColumns: readonly { readonly name: string; readonly type: 'string' | 'integer' | 'date'; readonly jsonPath: string }[]
  /** A small valid object, shown in documentation and used in tests. */
  readonly example: ResourceObject
}
