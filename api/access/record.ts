import { getConnInfo } from '@hono/node-server/conninfo'
import type { Context } from 'hono'
import { credentialOf } from '../apply/target.ts'
import type { Target } from '../apply/target.ts'
import type { ApiDoors } from '../rest/doors.ts'
import { authenticate } from './check.ts'
import { hashCredential } from './credential.ts'

const RESULTS_MAX = 100

/** The address of the peer; empty where the app is asked without a socket. */
export function sourceOf(context: Context): string {
  const bindings: unknown = context.env
  return typeof bindings === 'object' && bindings !== null && 'incoming' in bindings ? (getConnInfo(context).remote.address ?? '') : ''
}

/** One request less for whoever asks: by key, or by address without one. @throws Faults 'access.rate-limited' */
export function limitRate(doors: Pick<ApiDoors, 'rates'>, context: Context): void {
  if (doors.rates === undefined) return
  const secret = credentialOf(context.req.header('authorization'))
  doors.rates.keys.take((secret === undefined ? undefined : hashCredential('key', secret)) ?? `address ${sourceOf(context)}`)
}

/**
 * Files a write, or a refused attempt at one, once its answer is known. Without a valid key there is no tenant whose log it would be.
 * The answer is passed through; what is kept of it are verdicts and faults, never values.
 */
export function recordWrite(doors: Pick<ApiDoors, 'audit' | 'store' | 'wallMs'>, context: Context): (response: Response, who?: Pick<Target, 'actor'> & { readonly mesh?: Target['mesh'] }) => Response {
  const { audit } = doors
  const { method } = context.req
  return (response, who) => {
    if (audit === undefined || method === 'GET' || method === 'HEAD') return response
    const { pathname } = new URL(context.req.url)
    const copy = response.headers.get('content-type')?.includes('json') ? response.clone() : undefined
    const filed = Promise.all([who?.actor ?? authenticate(doors.store, credentialOf(context.req.header('authorization'))).catch(() => undefined), copy?.text() ?? '']).then(async ([actor, text]) => {
      if (actor === undefined) return
      const meshName = /^\/(?:api\/v1\/organizations\/[^/]+\/meshes|k8s\/[^/]+)\/([^/]+)/.exec(pathname)?.[1]
      const meshId = who?.mesh?.id ?? (meshName === undefined ? undefined : (await doors.store.meshByName(actor.organizationId, decodeURIComponent(meshName)))?.id)
      audit.record(actor.organizationId, { meshId: meshId ?? null, atMs: doors.wallMs(), actor: actor.name, actorId: actor.id, source: sourceOf(context), method, path: pathname, status: response.status, what: summary(text) })
    })
    audit.expect(filed)
    return response
  }
}

/** What an answer says of objects: results of an apply, an object's name and version, or the faults of a problem or Status. */
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
