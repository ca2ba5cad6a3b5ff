import { createHash } from 'node:crypto'
import { Hono } from 'hono'
import type { Context } from 'hono'
import { fault, Faults } from '#core/fault/fault.ts'
import { DOCUMENT_BOUNDS, isTooDeep } from '#core/resource/documents.ts'
import { enter } from '../access/enter.ts'
import type { Caller } from '../access/enter.ts'
import { recordRequest } from '../access/record.ts'
import type { Recording } from '../access/record.ts'
import { sourceOf } from '../access/source.ts'
import { BODY_MAX, boundedBody } from '../kube/request.ts'
import { archiveRoutes } from './archives.ts'
import { configurationRoutes } from './configuration.ts'
import { descriptionRoutes } from './description.ts'
import { docsPage } from './docs.ts'
import type { ApiDoors } from './doors.ts'
import { explainRoutes } from './explain.ts'
import { impactRoutes } from './impact.ts'
import { meshRoutes } from './meshes.ts'
import { openapiOf } from './openapi.ts'
import { actorOf, organizationRoutes } from './organizations.ts'
import { auditRoutes } from './audit.ts'
import { memberRoutes } from './members.ts'
import { oidcRoutes } from './oidc.ts'
import { entityTag } from './precondition.ts'
import { rollbackRoutes } from './rollback.ts'
import { problemOf } from './problem.ts'
import { proxyRoutes } from './proxies.ts'
import { judge } from './route.ts'
import type { RestAnswer, RestRequest, Route } from './route.ts'

/** Every path of the REST API. */
export const routes: readonly Route[] = [...organizationRoutes, ...meshRoutes, ...configurationRoutes, ...proxyRoutes, ...rollbackRoutes, ...memberRoutes, ...oidcRoutes, ...auditRoutes, ...explainRoutes, ...impactRoutes, ...descriptionRoutes, ...archiveRoutes]

/** Bodies of routes that ask for no key: names, passwords, codes. */
const OPEN_BODY_MAX = 16 * 1024
const SECURITY: Readonly<Record<string, string>> = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
}

/** `/api/v1/…`, `/openapi.json`, `/docs` and `/healthz`. */
export function restApi(doors: ApiDoors): Hono {
  const app = new Hono()
  const openapi = JSON.stringify(openapiOf(routes))
  app.get('/openapi.json', (context) => finished(new Response(openapi, { headers: { 'content-type': 'application/json' } }), context))
  app.get('/docs', (context) => finished(new Response(docsPage(routes), { headers: { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'" } }), context))
  app.get('/healthz', async (context) => {
    const well = await doors.store.ping().then(
      () => true,
      () => false,
    )
    return finished(new Response(well ? 'ok' : 'the database does not answer', { status: well ? 200 : 503 }), context)
  })
  for (const route of routes) app.on(route.method, route.path.replaceAll(/\{(\w+)\}/g, ':$1'), (context) => answer(doors, route, context))
  app.all('/api/*', (context) => problemAnswer(doors, new Faults([fault('object.not-found', { path: '', rule: 'there is nothing at this path', hint: 'see /docs' })]), context))
  return app
}

async function answer(doors: ApiDoors, route: Route, context: Context): Promise<Response> {
  const recording = recordRequest(doors, context, 'rest')
  try {
    // By the header alone, before anything is read: whoever has no key sends no body.
    const caller: Caller = route.open ? { actor: undefined } : await enter(doors, context)
    if (caller.actor) recording.proven({ actor: caller.actor })
    const raw = route.method === 'GET' || route.method === 'DELETE' ? Buffer.alloc(0) : await boundedBody(context.req.raw, route.open ? OPEN_BODY_MAX : BODY_MAX)
    const request = requestOf(recording, context, raw, { ...caller, isBootstrap: !route.open && caller.actor === undefined })
    const idempotencyKey = context.req.header('idempotency-key')
    if (!route.idempotent || idempotencyKey === undefined) return recording.done(await finished(responseOf(await route.handle(request)), context))
    return recording.done(await finished(await replayed(route, request, raw, context, idempotencyKey), context))
  } catch (error) {
    return recording.done(await problemAnswer(doors, error, context))
  }
}

function requestOf(recording: Recording, context: Context, raw: Buffer, caller: Pick<RestRequest, 'actor' | 'isBootstrap'>): RestRequest {
  return {
    ...caller,
    doors: recording.doors,
    authorization: context.req.header('authorization'),
    param: (name) => context.req.param(name) ?? '',
    query: (schema) => judge(schema, context.req.query()),
    async body(schema) {
      return judge(schema, jsonOf(raw, context.req.header('content-type')))
    },
    header: (name) => context.req.header(name),
    url: context.req.url,
    signal: context.req.raw.signal,
    proven: recording.proven,
    attempted: recording.attempted,
    changed: recording.changed,
    source: sourceOf(context, recording.doors.trustedProxies),
  }
}

function jsonOf(raw: Buffer, type: string | undefined): unknown {
  // A form cannot have this type, so no foreign page can send one in a visitor's name.
  if (!/^application\/(.+\+)?json\b/i.test(type ?? '')) throw new Faults([fault('request.invalid', { path: 'content-type', value: type ?? '', rule: 'application/json' })])
  let value: unknown
  try {
    value = JSON.parse(raw.toString('utf8'))
  } catch (error) {
    throw new Faults([fault('request.invalid', { path: '', rule: `JSON that can be read: ${error instanceof Error ? error.message : String(error)}` })])
  }
  if (isTooDeep(value)) throw new Faults([fault('request.invalid', { path: '', rule: `nested at most ${DOCUMENT_BOUNDS.depthMax} deep` })])
  return value
}

const responseOf = (given: RestAnswer): Response => (given instanceof Response ? given : Response.json(given.json, { status: given.status ?? 200 }))

const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('base64url')

/**
 * The same key and body by the same caller get the first answer again, from whatever replica; failures are tried anew.
 * @throws Faults 'request.repeated' (422) for another body, 'object.conflict' (409) while the first is being answered
 */
async function replayed(route: Route, request: RestRequest, raw: Buffer, context: Context, idempotencyKey: string): Promise<Response> {
  if (idempotencyKey.length > 255) throw new Faults([fault('request.invalid', { path: 'Idempotency-Key', rule: 'at most 255 characters' })])
  const { store } = request.doors
  const { id, organizationId } = actorOf(request)
  const place = sha256(JSON.stringify([id, route.method, new URL(context.req.url).pathname, idempotencyKey]))
  const before = await store.beginReplay(organizationId, place, sha256(raw))
  const answerWith = (status: number, text: string, again: boolean): Response => new Response(text, { status, headers: { 'content-type': 'application/json', ...(again ? { 'idempotency-replayed': 'true' } : {}) } })
  if (before.is === 'other-body') throw new Faults([fault('request.repeated', { path: 'Idempotency-Key', value: idempotencyKey, rule: 'a new key for a new request' })])
  if (before.is === 'running') throw new Faults([fault('object.conflict', { path: 'Idempotency-Key', value: idempotencyKey, rule: 'a request that has been answered', hint: 'the first one is being answered: ask again in a moment' })])
  if (before.is === 'answered') return answerWith(before.status, before.body, true)
  try {
    const response = responseOf(await route.handle(request))
    const text = await response.text()
    await store.endReplay(organizationId, place, { status: response.status, body: text })
    return answerWith(response.status, text, false)
  } catch (error) {
    await store.endReplay(organizationId, place, undefined).catch(() => {}) // the caller hears of the first failure; this one ends by itself in a minute
    throw error
  }
}

/** Adds what every answer bears; a JSON GET gets an ETag, and 304 when the caller has it already. */
async function finished(response: Response, context: Context): Promise<Response> {
  const headers = new Headers(response.headers)
  for (const [name, value] of Object.entries(SECURITY)) if (!headers.has(name)) headers.set(name, value)
  if (!headers.has('cache-control')) headers.set('cache-control', 'no-store')
  if (context.req.method !== 'GET' || response.status !== 200 || !headers.get('content-type')?.startsWith('application/json')) return new Response(response.body, { status: response.status, headers })
  const text = await response.text()
  const tag = entityTag(text)
  headers.set('etag', tag)
  headers.set('cache-control', 'private, no-cache')
  const held = (context.req.header('if-none-match') ?? '').split(',').map((one) => one.trim().replace(/^W\//, ''))
  return held.includes(tag) || held.includes('*') ? new Response(null, { status: 304, headers }) : new Response(text, { status: 200, headers })
}

function problemAnswer(doors: ApiDoors, error: unknown, context: Context): Promise<Response> {
  const known = problemOf(error)
  if (known === undefined) doors.unexpected?.(error)
  const body = known ?? { type: 'about:blank', title: 'Internal Server Error', status: 500, detail: 'an error of ours; it was recorded' }
  const headers = {
    'content-type': 'application/problem+json',
    ...(body.status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
    ...(body.status === 429 ? { 'retry-after': '1' } : {}),
    ...(body.status === 503 ? { 'retry-after': '1' } : {}),
  }
  return finished(new Response(JSON.stringify(body), { status: body.status, headers }), context)
}
