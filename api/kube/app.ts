import { Hono } from 'hono'
import type { Context } from 'hono'
import { describeFault, Faults } from '#core/fault/fault.ts'
import type { Fault } from '#core/fault/fault.ts'
import { StoreConflict, StoreText, StoreUnavailable } from '#db/store.ts'
import { credentialOf, targetAt } from '../apply/target.ts'
import type { Target } from '../apply/target.ts'
import { permitNamespace } from '../access/check.ts'
import type { Verb } from '../access/check.ts'
import { authenticateFor } from '../access/check.ts'
import { enterMesh } from '../access/enter.ts'
import { recordRequest } from '../access/record.ts'
import type { ApiDoors } from '../rest/doors.ts'
import { aggregated, aggregatedType, aggregatedVersion, coreVersions, groupList, oneGroup, resourceList, serverVersion } from './discovery.ts'
import { OpenapiDocuments } from './openapi.ts'
import { readPath } from './path.ts'
import type { KubePath } from './path.ts'
import { findStored, listObjects, selectionOf } from './read.ts'
import { accessReview } from './access-review.ts'
import { formOf, readableType } from './media-type.ts'
import { listOptions, notBefore, readVersion } from './options.ts'
import { Refusal } from './refusal.ts'
import { shownList, shownObject } from './shown.ts'
import { present } from './present.ts'
import { boundedBody, readBody } from './request.ts'
import type { ObjectsRequest } from './request.ts'
import { conflicted, failure, notFound, statusOfFaults } from './status.ts'
import type { Status } from './status.ts'
import { readIncludeObject } from './table.ts'
import { watchStream } from './watch.ts'
import { createObject, deleteCollection, deleteObject, patchObject, replaceObject } from './write.ts'
import type { Written } from './write.ts'

type ObjectsPath = Extract<KubePath, { of: 'objects' }>

const PREFIX = /^\/k8s\/([^/]+)\/([^/]+)/

/** The mesh's configuration through Kubernetes' verbs, below `/k8s/ORGANIZATION/MESH`: what kubectl and its like need of an API server. */
export function kubeApi(doors: ApiDoors): Hono {
  const app = new Hono()
  const openapi = new OpenapiDocuments()
  app.all('/k8s/:organization/:mesh/*', (context) => answer(doors, openapi, context))
  app.all('/k8s/:organization/:mesh', (context) => answer(doors, openapi, context))
  return app
}

async function answer(doors: ApiDoors, openapi: OpenapiDocuments, context: Context): Promise<Response> {
  const pathname = new URL(context.req.url).pathname
  const path = readPath(pathname.replace(PREFIX, ''))
  let named = path.of === 'objects' ? (path.name ?? '') : ''
  const recording = recordRequest(doors, context, 'kube')
  try {
    const { actor, found } = await enterMesh(doors, context, { organization: context.req.param('organization') ?? '', mesh: context.req.param('mesh') ?? '' })
    recording.proven({ actor })
    const target = targetAt(actor, found, path.of === 'access-review' ? 'read' : verbOf(context.req.method), recording.proven)
    if (path.of === 'access-review' && context.req.method === 'POST') return await reviewed(context, target)
    if (path.of !== 'objects') return described(context, openapi, path)
    permitNamespace(target.actor, path.kind.namespaced ? path.namespace : undefined)
    return recording.done(await objectsAnswer(recording.doors, context, target, path, (name) => (named ||= name)))
  } catch (error) {
    return recording.done(status(context, statusOf(doors, error, path.of === 'objects' ? { kind: path.kind, name: named } : {})))
  }
}

const verbOf = (method: string): Verb => (method === 'GET' || method === 'HEAD' ? 'read' : 'write')

function statusOf(doors: ApiDoors, error: unknown, about: { kind?: ObjectsPath['kind']; name?: string }): Status {
  if (error instanceof Refusal) return error.status
  if (error instanceof Faults) return statusOfFaults(error, about)
  if (error instanceof StoreConflict) return conflicted({ ...about, name: error.key.name })
  if (error instanceof StoreText) return failure(400, 'BadRequest', `only ${error.message} can be stored or asked for`)
  if (error instanceof StoreUnavailable) return failure(503, 'ServiceUnavailable', error.message)
  doors.unexpected?.(error)
  return failure(500, 'InternalError', 'an error of ours; it was recorded')
}

const status = (context: Context, body: Status): Response => json(context, body, body.code)

function json(context: Context, body: unknown, code = 200, headers: Readonly<Record<string, string>> = {}): Response {
  return jsonText(context, `${JSON.stringify(body)}\n`, code, headers)
}

function jsonText(context: Context, text: string, code = 200, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(context.req.method === 'HEAD' ? null : text, { status: code, headers: { 'content-type': 'application/json', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', ...headers } })
}

function described(context: Context, openapi: OpenapiDocuments, path: Exclude<KubePath, ObjectsPath>): Response {
  if (context.req.method !== 'GET' && context.req.method !== 'HEAD') return status(context, failure(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource'))
  const discovery = aggregatedVersion(context.req.header('accept'))
  switch (path.of) {
    case 'root':
      return json(context, { paths: ['/api', '/api/v1', '/apis', '/healthz', '/livez', '/openapi/v2', '/openapi/v3', '/readyz', '/version'] })
    case 'version':
      return json(context, serverVersion())
    case 'health':
      return new Response('ok')
    case 'core-versions':
      return discovery ? json(context, aggregated('core', discovery), 200, { 'content-type': aggregatedType(discovery) }) : json(context, coreVersions())
    case 'groups':
      return discovery ? json(context, aggregated('groups', discovery), 200, { 'content-type': aggregatedType(discovery) }) : json(context, groupList())
    case 'group':
      return json(context, oneGroup(path.group))
    case 'resources':
      return json(context, resourceList(path.group, path.version))
    case 'access-review':
      return status(context, failure(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource'))
    case 'openapi-v2':
      return jsonText(context, openapi.v2())
    case 'openapi-index':
      return jsonText(context, openapi.index())
    case 'openapi':
      return jsonText(context, openapi.v3(path.group, path.version))
    case 'nothing':
      return status(context, failure(404, 'NotFound', 'the server could not find the requested resource'))
  }
}

async function reviewed(context: Context, target: Target): Promise<Response> {
  const type = readableType(context.req.header('content-type') ?? 'application/json')
  return json(context, accessReview(target, readBody(await boundedBody(context.req.raw), type)), 201)
}

async function objectsAnswer(doors: ApiDoors, context: Context, target: Target, path: ObjectsPath, named: ObjectsRequest['named']): Promise<Response> {
  const { method } = context.req
  const search = new URL(context.req.url).searchParams
  const request: ObjectsRequest = {
    doors,
    target,
    kind: path.kind,
    version: path.version,
    namespace: path.namespace,
    name: path.name ?? '',
    query: (name) => search.get(name) ?? undefined,
    form: formOf(context.req.header('accept')),
    include: readIncludeObject(search.get('includeObject') ?? undefined),
    userAgent: context.req.header('user-agent'),
    contentType: context.req.header('content-type') ?? 'application/json',
    body: () => boundedBody(context.req.raw),
    named,
    signal: context.req.raw.signal,
    stillAllowed: () =>
      authenticateFor(doors.store, credentialOf(context.req.header('authorization')), { organization: target.organization.name, mesh: target.mesh.name })
        .then(({ actor, found }) => targetAt(actor, found, 'read'))
        .then(
          () => true,
          (error: unknown) => !(error instanceof Faults),
        ),
  }
  if (path.subresource !== undefined) return subresource(context, request, path.subresource)
  if (method === 'GET' || method === 'HEAD') return path.name === undefined ? collection(context, request) : one(context, request)
  // A namespaced object can only be written within its namespace.
  if (path.kind.namespaced && path.namespace === undefined) return status(context, failure(404, 'NotFound', 'the server could not find the requested resource'))
  const handler = path.name === undefined ? { POST: createObject, DELETE: deleteCollection }[method] : { PUT: replaceObject, PATCH: patchObject, DELETE: deleteObject }[method]
  if (handler === undefined) return status(context, failure(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', request))
  return writtenAnswer(context, await handler(request))
}

/** Status is computed, so that writes of it change nothing; a Namespace is finalized as soon as it is deleted. */
async function subresource(context: Context, request: ObjectsRequest, name: string): Promise<Response> {
  if (name !== 'status' && name !== 'finalize') return status(context, failure(404, 'NotFound', 'the server could not find the requested resource', request))
  return one(context, request)
}

async function one(context: Context, request: ObjectsRequest): Promise<Response> {
  // A watch of one object is a watch of the collection with its name as selector.
  if (listOptions(request.query).watch) return watching(withName(request))
  const wanted = readVersion(request.query('resourceVersion'))
  const stored = await findStored(request)
  if (wanted !== undefined) notBefore(wanted, request.target.mesh.revision)
  if (stored === undefined) return status(context, notFound(request))
  return json(context, shownObject(request, present(request.doors, request.target.mesh, request.kind, stored, request.version)))
}

const withName = (request: ObjectsRequest): ObjectsRequest => ({ ...request, query: (name) => (name === 'fieldSelector' ? `metadata.name=${request.name}` : request.query(name)) })

async function collection(context: Context, request: ObjectsRequest): Promise<Response> {
  const options = listOptions(request.query)
  if (options.watch) return watching(request)
  return jsonText(context, `${shownList(request, await listObjects(request, options))}\n`)
}

function watching(request: ObjectsRequest): Response {
  // A selector that is none is refused before the stream begins.
  selectionOf(request)
  // Bounded, and over as soon as its key is.
  const held = request.doors.streams?.hold({ id: request.target.actor.id, organizationId: request.target.organization.id })
  const watched = held === undefined ? request : { ...request, signal: AbortSignal.any([request.signal, held.signal]), ended: held.release }
  return new Response(watchStream(watched, listOptions(request.query)), { headers: { 'content-type': 'application/json', 'cache-control': 'no-store', 'x-accel-buffering': 'no' } })
}

function writtenAnswer(context: Context, written: Written): Response {
  const response = jsonText(context, `${written.text ?? JSON.stringify(written.body)}\n`, written.code)
  for (const warning of written.warnings.slice(0, 32)) response.headers.append('warning', warningHeader(warning))
  return response
}

/** RFC 7234 §5.5, in the form that Kubernetes' clients print: code 299, no agent. */
function warningHeader(warning: Fault): string {
  const text = describeFault(warning).replaceAll(/[^\x20-\x7e]/g, '?').replaceAll(/["\\]/g, '\\$&').slice(0, 400)
  return `299 - "${text.replace(/\\$/, '')}"`
}
