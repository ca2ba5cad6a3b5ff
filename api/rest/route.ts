import type { z } from 'zod'
import { Faults } from '#core/fault/fault.ts'
import type { Fault } from '#core/fault/fault.ts'
import { faultsOf } from '#core/resource/issue.ts'
import type { Mesh } from '#db/store.ts'
import type { Actor } from '../access/actor.ts'
import type { Attempt } from '../access/record.ts'
import type { ApiDoors } from './doors.ts'

/** One request, before its route has read it. */
export interface RestRequest {
  readonly doors: ApiDoors
  readonly authorization: string | undefined
  /** Who asks; undefined on open routes, and for the bootstrap key. */
  readonly actor: Actor | undefined
  /** The one credential that may make organizations, and their first keys. */
  readonly isBootstrap: boolean
  param(name: string): string
  /** The query, judged. @throws Faults 'request.invalid' */
  query<T>(schema: z.ZodType<T>): T
  /** The JSON body, judged. @throws Faults 'request.invalid' */
  body<T>(schema: z.ZodType<T>): Promise<T>
  readonly signal: AbortSignal
  /** Told who asks, and of which mesh, once that is proven: the audit log files it without asking again. */
  readonly proven: (who: { readonly actor: Actor; readonly mesh?: Mesh }) => void
  /** Told of which organization this is, where no key says so, and who it is said to be: so that it is filed there. */
  readonly attempted: (who: Attempt) => void
  /** Told what the write makes of something that is no object of the configuration; secrets left out. */
  readonly changed: (of: string, before: unknown, after: unknown) => void
  header(name: string): string | undefined
  /** As it was asked for. */
  readonly url: string
  /** The address from which it came; empty where none is known. */
  readonly source: string
}

/** What a route answers: JSON, or another Response as it is. */
export type RestAnswer = { readonly status?: number; readonly json: unknown } | Response

/** A path and verb with what the outside should know of it; OpenAPI prints from this. */
export interface Route {
  /** Asks for no key. */
  readonly open?: boolean
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** In OpenAPI's form: `/api/v1/organizations/{organization}`. */
  readonly path: string
  readonly summary: string
  readonly query?: z.ZodType
  readonly body?: z.ZodType
  readonly answers: { readonly status: number; readonly schema?: z.ZodType; readonly type?: string }
  /** May be repeated under an Idempotency-Key. Not for answers that hold a secret: they are not kept. */
  readonly idempotent?: boolean
  handle(request: RestRequest): Promise<RestAnswer>
}

/** A value by its schema. @throws Faults 'request.invalid', one for each finding */
export function judge<T>(schema: z.ZodType<T>, value: unknown): T {
  const read = schema.safeParse(value)
  if (read.success) return read.data
  throw new Faults(faultsOf(read.error.issues, schema, value).map((one): Fault => ({ ...one, code: 'request.invalid' })))
}
