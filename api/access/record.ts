import type { Context } from 'hono'
import type { ResourceObject } from '#core/resource/object.ts'
import { redact } from '#core/resource/redact.ts'
import type { ApplyOutcome, ResourceKey } from '#db/store.ts'
import type { Target } from '../apply/target.ts'
import type { ApiDoors } from '../rest/doors.ts'
import type { AuditRecord } from './audit.ts'
import { differences } from './differences.ts'
import type { Difference } from './differences.ts'
import { sourceOf } from './source.ts'
import type { Api } from './turned-away.ts'

/** Objects, and differences of all of them together, that one entry names. */
const RESULTS_MAX = 100
const DIFFERENCES_MAX = 200

/** Who tries something without a key: an organization's log names them as they named themselves. */
export interface Attempt {
  readonly organizationId: string
  readonly name: string
}

/** One request, as the log will have it. */
export interface Recording {
  /** The same doors; what is written through them is noted. */
  readonly doors: ApiDoors
  proven(who: Pick<Target, 'actor'> & { readonly mesh?: Target['mesh'] }): void
  attempted(who: Attempt): void
  changed(of: string, before: unknown, after: unknown): void
  /** Files it, now that its answer is known, and passes the answer through. */
  done(response: Response): Response
}

interface Changed {
  readonly of: string
  readonly verdict?: string
  readonly differences: readonly Difference[]
}

/**
 * What a request does, or tries, for the audit log of its tenant: every write, and every attempt that was refused. Without a valid key and without an organization there is no tenant whose log it would be.
 * Kept are who, from where, verdicts and faults, and what changed with secrets hidden.
 */
export function recordRequest(given: ApiDoors, context: Context, api: Api): Recording {
  const { audit } = given
  const { method } = context.req
  let who: (Pick<Target, 'actor'> & { readonly mesh?: Target['mesh'] }) | undefined
  let attempt: Attempt | undefined
  const changes: Changed[] = []
  let room = DIFFERENCES_MAX
  const note = (of: string, before: unknown, after: unknown, verdict?: string): void => {
    if (changes.length >= RESULTS_MAX) return
    const found = differences(before, after, room)
    room -= found.length
    changes.push({ of, ...(verdict === undefined ? {} : { verdict }), differences: found })
  }
  return {
    doors: { ...given, wrote: (results) => void results.forEach((one) => noteResult(note, one)) },
    proven: (proven) => void (who = proven),
    attempted: (named) => void (attempt = named),
    changed: (of, before, after) => note(of, before, after),
    done(response) {
      if (response.status === 429) given.turnedAway?.add(api)
      if (audit === undefined || !isFiled(method, response.status, who !== undefined || attempt !== undefined)) return response
      const organizationId = who?.actor.organizationId ?? attempt?.organizationId
      if (organizationId === undefined) return response
      const { pathname } = new URL(context.req.url)
      const copy = response.headers.get('content-type')?.includes('json') ? response.clone() : undefined
      const entry = { meshId: who?.mesh?.id ?? null, atMs: given.wallMs(), actor: who?.actor.name ?? attempt?.name ?? '', actorId: who?.actor.id ?? '', source: sourceOf(context, given.trustedProxies), method, path: pathname, status: response.status }
      const filed = (copy?.text() ?? Promise.resolve('')).then((text) => audit.record(organizationId, { ...entry, what: { ...summary(text), ...(changes.length === 0 ? {} : { changes }) } } satisfies AuditRecord))
      audit.expect(filed)
      return response
    },
  }
}

/** Writes, and whatever was refused to somebody who is known. What is merely not there is no attempt, and a flood of requests files nothing. */
function isFiled(method: string, status: number, isKnown: boolean): boolean {
  if (status === 429) return false
  if (method !== 'GET' && method !== 'HEAD') return true
  return isKnown && (status === 302 || status === 401 || status === 403)
}

function noteResult(note: (of: string, before: unknown, after: unknown, verdict: string) => void, { key, verdict, before, stored }: ApplyOutcome['results'][number]): void {
  if (verdict === 'unchanged' || verdict === 'absent') return
  note(wordsOf(key), shown(before?.object), shown(stored?.object), verdict)
}

const wordsOf = ({ group, kind, namespace, name }: ResourceKey): string => [group === '' ? kind : `${kind}.${group}`, ...(namespace === '' ? [] : [namespace]), name].join('/')

const shown = (object: ResourceObject | undefined): ResourceObject | undefined => (object === undefined ? undefined : redact(object))

/** What an answer says of objects: results of an apply, an object's name and version, or the faults of a problem or Status. Never a value that was sent. */
function summary(text: string): Readonly<Record<string, unknown>> {
  if (text === '') return {}
  const value: unknown = JSON.parse(text)
  if (value === null || typeof value !== 'object') return {}
  const body = value as Readonly<Record<string, unknown>>
  const kept: Record<string, unknown> = {}
  for (const name of ['revision', 'id', 'name', 'kind', 'reason', 'type']) if (typeof body[name] === 'string' || typeof body[name] === 'number') kept[name] = body[name]
  if (Array.isArray(body['results'])) kept['results'] = body['results'].slice(0, RESULTS_MAX)
  if (Array.isArray(body['errors'])) kept['faults'] = body['errors'].slice(0, RESULTS_MAX).map((one: { code?: unknown; path?: unknown; resource?: unknown }) => ({ code: one.code, path: one.path, resource: one.resource }))
  const metadata = body['metadata'] as Readonly<Record<string, unknown>> | undefined
  if (typeof metadata?.['name'] === 'string') kept['object'] = { namespace: metadata['namespace'], name: metadata['name'], resourceVersion: metadata['resourceVersion'] }
  return kept
}
