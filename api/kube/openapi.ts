import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { ResourceKind } from '#core/resource/kind.ts'
import { objectMeta } from '#core/resource/metadata.ts'
import { kinds } from '#core/resource/registry.ts'

type Json = Readonly<Record<string, unknown>>

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'

/** `io.istio.networking.v1.VirtualService`: a group's name turned round, as Kubernetes names schemas. */
const schemaName = (kind: ResourceKind, version: string): string => `${kind.group === '' ? 'io.k8s.api.core' : kind.group.split('.').reverse().join('.')}.${version}.${kind.kind}`

/** One kind's schema, inlined: what `kubectl explain` reads and `kubectl apply` checks against. */
function schemaOf(kind: ResourceKind, version: string, reference: (name: string) => Json): Json {
  const fields = properties(kind.fields)
  return {
    type: 'object',
    description: kind.description,
    properties: {
      apiVersion: { type: 'string', description: 'Group and version of the schema of this object.' },
      kind: { type: 'string', description: 'Kind of this object.' },
      metadata: { description: 'Names, labels and what the server knows.', allOf: [reference(META)], default: {} },
      ...fields.properties,
      status: { type: 'object', description: 'Given by the server.', 'x-kubernetes-preserve-unknown-fields': true },
    },
    ...(fields.required.length > 0 ? { required: fields.required } : {}),
    'x-kubernetes-group-version-kind': [{ group: kind.group, kind: kind.kind, version }],
  }
}

function properties(schema: z.core.$ZodType): { properties: Json; required: readonly string[] } {
  const printed = cleaned(z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input', unrepresentable: 'any', reused: 'inline' })) as { properties?: Json; required?: readonly string[] }
  return { properties: printed.properties ?? {}, required: printed.required ?? [] }
}

// Kubernetes' OpenAPI readers know a smaller language than JSON Schema: what they would stumble over is left out.
function cleaned(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(cleaned)
  if (value === null || typeof value !== 'object') return value
  const { $schema: _, propertyNames: __, id: ___, ...rest } = value as Record<string, unknown>
  if (rest['additionalProperties'] === false) delete rest['additionalProperties']
  if (Array.isArray(rest['anyOf']) && rest['type'] === undefined && rest['anyOf'].every((one) => ['integer', 'string'].includes((one as { type?: string }).type ?? ''))) {
    return { ...(typeof rest['description'] === 'string' ? { description: rest['description'] } : {}), 'x-kubernetes-int-or-string': true, oneOf: [{ type: 'integer' }, { type: 'string' }] }
  }
  return Object.fromEntries(Object.entries(rest).map(([name, one]) => [name, cleaned(one)]))
}

function metaSchema(): Json {
  return { type: 'object', description: 'What every object has.', ...(cleaned(properties(objectMeta)) as Json) }
}

const query = (name: string, type: string, description: string): Json => ({ name, in: 'query', description, schema: { type, uniqueItems: true } })
const WRITE_PARAMETERS = [
  query('dryRun', 'string', 'All: check and keep nothing.'),
  query('fieldManager', 'string', 'Who writes.'),
  query('fieldValidation', 'string', 'Unknown fields are always refused.'),
]
const LIST_PARAMETERS = [
  query('labelSelector', 'string', 'Labels to select by.'),
  query('fieldSelector', 'string', 'metadata.name and metadata.namespace.'),
  query('limit', 'integer', 'Objects a page, at most.'),
  query('continue', 'string', 'Where the last page ended.'),
  query('watch', 'boolean', 'Stream changes.'),
  query('resourceVersion', 'string', 'Where to watch from.'),
]

function pathsOf(kind: ResourceKind, version: string): Record<string, Json> {
  const root = kind.group === '' ? `/api/${version}` : `/apis/${kind.group}/${version}`
  const within = kind.namespaced ? `${root}/namespaces/{namespace}/${kind.plural}` : `${root}/${kind.plural}`
  const gvk = { group: kind.group, kind: kind.kind, version }
  const reference = { $ref: `#/components/schemas/${schemaName(kind, version)}` }
  const content = (schema: Json): Json => ({ 'application/json': { schema } })
  const answer: Json = { 200: { description: 'OK', content: content(reference) } }
  const operation = (action: string, parameters: readonly Json[], types?: readonly string[]): Json => ({
    description: `${action} ${kind.kind}`,
    operationId: `${action}${kind.kind}${version}`,
    parameters,
    ...(types ? { requestBody: { content: Object.fromEntries(types.map((type) => [type, { schema: reference }])) } } : {}),
    responses: answer,
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': gvk,
  })
  return {
    [within]: { get: operation('list', LIST_PARAMETERS), post: operation('post', WRITE_PARAMETERS, ['application/json', 'application/yaml']) },
    [`${within}/{name}`]: {
      get: operation('get', []),
      put: operation('put', WRITE_PARAMETERS, ['application/json', 'application/yaml']),
      // Strategic merge is understood for core kinds, but not offered: kubectl then merges by its own types, which are the better ones.
      patch: operation('patch', [...WRITE_PARAMETERS, query('force', 'boolean', 'Take fields from their managers.')], ['application/apply-patch+yaml', 'application/json-patch+json', 'application/merge-patch+json']),
      delete: operation('delete', WRITE_PARAMETERS),
    },
  }
}

function openapiV3(group: string, version: string): Json {
  const own = kinds.filter((kind) => kind.group === group && kind.versions.includes(version))
  const reference = (name: string): Json => ({ $ref: `#/components/schemas/${name}` })
  return {
    openapi: '3.0.0',
    info: { title: 'Weft', version: 'v1.32.0' },
    paths: Object.assign({}, ...own.map((kind) => pathsOf(kind, version))),
    components: { schemas: { [META]: metaSchema(), ...Object.fromEntries(own.map((kind) => [schemaName(kind, version), schemaOf(kind, version, reference)])) } },
  }
}

const versionsServed = (): { group: string; version: string }[] => {
  const seen = new Map(kinds.flatMap((kind) => kind.versions.map((version) => [`${kind.group}/${version}`, { group: kind.group, version }] as const)))
  return [...seen.values()]
}

/** The documents as text, each made when it is first asked for: the kinds do not change while a process lives. */
export class OpenapiDocuments {
  readonly #texts = new Map<string, string>()

  /** OpenAPI 3.0 of one group and version. */
  v3(group: string, version: string): string {
    return this.#once(`${group}/${version}`, () => openapiV3(group, version))
  }

  /** Where the documents are, with a hash of each by which clients keep them. */
  index(): string {
    return this.#once('index', () => {
      const entries = versionsServed().map(({ group, version }) => {
        const path = group === '' ? `api/${version}` : `apis/${group}/${version}`
        const hash = createHash('sha256').update(this.v3(group, version)).digest('hex').toUpperCase()
        return [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` }] as const
      })
      return { paths: Object.fromEntries(entries) }
    })
  }

  /** OpenAPI 2.0 of everything, for older clients. */
  v2(): string {
    return this.#once('v2', openapiV2)
  }

  #once(name: string, make: () => Json): string {
    const known = this.#texts.get(name)
    if (known !== undefined) return known
    const text = JSON.stringify(make())
    this.#texts.set(name, text)
    return text
  }
}

function openapiV2(): Json {
  const reference = (name: string): Json => ({ $ref: `#/definitions/${name}` })
  const definitions = kinds.flatMap((kind) => kind.versions.map((version) => [schemaName(kind, version), schemaOf(kind, version, reference)] as const))
  return { swagger: '2.0', info: { title: 'Weft', version: 'v1.32.0' }, paths: {}, definitions: { [META]: metaSchema(), ...Object.fromEntries(definitions) } }
}
