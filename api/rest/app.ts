import { createHash } from 'node:crypto'
import { Hono } from 'hono'
import type { Context } from 'hono'
import { LRUCache } from 'lru-cache'
import { fault, Faults } from '#core/fault/fault.ts'
import { DOCUMENT_BOUNDS, isTooDeep } from '#core/resource/documents.ts'
import { limitRate, recordWrite, sourceOf } from '../access/record.ts'
import type { Mesh } from '#db/store.ts'
import type { Actor } from '../access/actor.ts'
import { authenticate } from '../access/check.ts'
import { credentialOf } from '../apply/target.ts'
import { boundedBody } from '../kube/request.ts'
import { configurationRoutes } from './configuration.ts'
import { docsPage } from './docs.ts'
import type { ApiDoors } from './doors.ts'
import { explainRoutes } from './explain.ts'
import { impactRoutes } from './impact.ts'
import { meshRoutes } from './meshes.ts'
import { openapiOf } from './openapi.ts'
import { organizationRoutes } from './organizations.ts'
import { auditRoutes } from './audit.ts'
import { memberRoutes } from './members.ts'
import { rollbackRoutes } from './rollback.ts'
import { problemOf } from './problem.ts'
import { proxyRoutes } from './proxies.ts'
import { judge } from './route.ts'
import type { RestAnswer, RestRequest, Route } from './route.ts'

/** Every path of the REST API. */
export const routes: readonly Route[] = [...organizationRoutes, ...meshRoutes, ...configurationRoutes, ...proxyRoutes, ...rollbackRoutes, ...memberRoutes, ...auditRoutes, ...explainRoutes, ...impactRoutes]

/** Answers that an Idempotency-Key may ask for again, the latest few. */
const REPLAYS_MAX = 1000
const SECURITY: Readonly<Record<string, string>> = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
}

interface Replay {
  readonly bodyHash: string
  readonly answer: Promise<{ status: number; text: string }>
}

/** `/api/v1/…`, `/openapi.json`, `/docs` and `/healthz`. */
export function restApi(doors: ApiDoors): Hono {
  const app = new Hono()
  const replays = new LRUCache<string, Replay>({ max: REPLAYS_MAX })
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
  for (const route of routes) app.on(route.method, route.path.replaceAll(/\{(\w+)\}/g, ':$1'), (context) => answer(doors, route, context, replays))
  app.all('/api/*', (context) => problemAnswer(doors, new Faults([fault('object.not-found', { path: '', rule: 'there is nothing at this path', hint: 'see /docs' })]), context))
  return app
}

async function answer(doors: ApiDoors, route: Route, context: Context, replays: LRUCache<string, Replay>): Promise<Response> {
  let who: { actor: Actor; mesh?: Mesh } | undefined
  const record = recordWrite(doors, context)
  const done = (response: Response): Response => record(response, who)
  try {
    limitRate(doors, context)
    const raw = route.method === 'POST' || route.method === 'PATCH' ? await boundedBody(context.req.raw) : Buffer.alloc(0)
    const request = requestOf(doors, context, raw, (found) => void (who = found))
    const idempotencyKey = context.req.header('idempotency-key')
    if (!route.idempotent || idempotencyKey === undefined) return done(await finished(responseOf(await route.handle(request)), context))
    return done(await finished(await replayed(route, request, raw, context, idempotencyKey, replays), context))
  } catch (error) {
    return done(await problemAnswer(doors, error, context))
  }
}

function requestOf(doors: ApiDoors, context: Context, raw: Buffer, proven: RestRequest['proven']): RestRequest {
  return {
    doors,
    authorization: context.req.header('authorization'),
    param: (name) => context.req.param(name) ?? '',
    query: (schema) => judge(schema, context.req.query()),
    async body(schema) {
      return judge(schema, jsonOf(raw, context.req.header('content-type')))
    },
    signal: context.req.raw.signal,
    proven,
    source: sourceOf(context),
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

/** The same key and body by the same caller get the first answer again; failures are tried anew. */
async function replayed(route: Route, request: RestRequest, raw: Buffer, context: Context, idempotencyKey: string, replays: LRUCache<string, Replay>): Promise<Response> {
  if (idempotencyKey.length > 255) throw new Faults([fault('request.invalid', { path: 'Idempotency-Key', rule: 'at most 255 characters' })])
  // A key that was deleted meanwhile gets nothing again.
  await authenticate(request.doors.store, credentialOf(request.authorization))
  const place = sha256(JSON.stringify([request.authorization ?? '', new URL(context.req.url).pathname, idempotencyKey]))
  const bodyHash = sha256(raw)
  const before = replays.get(place)
  if (before !== undefined && before.bodyHash !== bodyHash) throw new Faults([fault('object.conflict', { path: 'Idempotency-Key', value: idempotencyKey, rule: 'a new key for a new request' })])
  const told = before?.answer ?? firstAnswer(route, request)
  if (before === undefined) {
    replays.set(place, { bodyHash, answer: told })
    told.catch(() => replays.delete(place))
  }
  const { status, text } = await told
  return new Response(text, { status, headers: { 'content-type': 'application/json', ...(before === undefined ? {} : { 'idempotency-replayed': 'true' }) } })
}

async function firstAnswer(route: Route, request: RestRequest): Promise<{ status: number; text: string }> {
  const response = responseOf(await route.handle(request))
  return { status: response.status, text: await response.text() }
}

/** Adds what every answer bears; a JSON GET gets an ETag, and 304 when the caller has it already. */
async function finished(response: Response, context: Context): Promise<Response> {
  const headers = new Headers(response.headers)
  for (const [name, value] of Object.entries(SECURITY)) if (!headers.has(name)) headers.set(name, value)
  if (!headers.has('cache-control')) headers.set('cache-control', 'no-store')
  if (context.req.method !== 'GET' || response.status !== 200 || !headers.get('content-type')?.startsWith('application/json')) return new Response(response.body, { status: response.status, headers })
  const text = await response.text()
  const tag = `"${sha256(text)}"`
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
