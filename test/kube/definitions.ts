import { OpenapiDocuments } from '#api/kube/openapi.ts'
import type { ResourceKind } from '#core/resource/kind.ts'
import { kinds } from '#core/resource/registry.ts'

type Json = Readonly<Record<string, unknown>>

const isJson = (value: unknown): value is Json => value !== null && typeof value === 'object' && !Array.isArray(value)

/** Groups that an API server has without definitions. */
const KUBERNETES_OWN = new Set(['', 'networking.k8s.io'])

/** Every kind of the registry that Kubernetes does not have itself, as a CustomResourceDefinition with the schema that Weft publishes. */
export function customResourceDefinitions(): Json[] {
  const documents = new OpenapiDocuments()
  return kinds.filter((kind) => !KUBERNETES_OWN.has(kind.group)).map((kind) => definitionOf(documents, kind))
}

function definitionOf(documents: OpenapiDocuments, kind: ResourceKind): Json {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    // Groups of k8s.io are only for who is approved, or says that it is not.
    metadata: { name: `${kind.plural}.${kind.group}`, annotations: { 'api-approved.kubernetes.io': 'unapproved, for tests' } },
    spec: {
      group: kind.group,
      scope: kind.namespaced ? 'Namespaced' : 'Cluster',
      names: { kind: kind.kind, listKind: `${kind.kind}List`, plural: kind.plural, singular: kind.singular, shortNames: kind.shortNames, categories: kind.categories },
      versions: kind.versions.map((version, index) => ({
        name: version,
        served: true,
        storage: index === 0,
        schema: { openAPIV3Schema: schemaOf(documents, kind, version) },
        subresources: { status: {} },
        additionalPrinterColumns: [...kind.printerColumns.map(({ name, type, jsonPath }) => ({ name, type, jsonPath })), { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' }],
      })),
    },
  }
}

function schemaOf(documents: OpenapiDocuments, kind: ResourceKind, version: string): Json {
  const document: { components: { schemas: Record<string, Json> } } = JSON.parse(documents.v3(kind.group, version))
  const own = Object.values(document.components.schemas).find((schema) => {
    const [named] = (schema['x-kubernetes-group-version-kind'] ?? []) as readonly { kind: string }[]
    return named?.kind === kind.kind
  })
  if (own === undefined) throw new Error(`the document of ${kind.group}/${version} lacks ${kind.kind}`)
  const { 'x-kubernetes-group-version-kind': _, properties, ...rest } = own
  const { metadata: __, ...fields } = properties as Json
  const { properties: shaped, ...schema } = structural({ ...rest, properties: fields })
  return { ...schema, properties: { metadata: { type: 'object' }, ...(shaped as Json) } }
}

/** A schema as definitions may have them: a type for each node, either fields or free keys, no alternatives but integer or text. */
function structural(schema: Json): Json {
  if (schema['x-kubernetes-int-or-string'] === true) return { 'x-kubernetes-int-or-string': true }
  if (typeof schema['type'] !== 'string') return { 'x-kubernetes-preserve-unknown-fields': true }
  const kept: Record<string, unknown> = {}
  for (const name of ['type', 'enum', 'minimum', 'maximum', 'minItems', 'maxItems', 'minLength', 'maxLength', 'required', 'nullable', 'x-kubernetes-preserve-unknown-fields', 'description']) if (schema[name] !== undefined) kept[name] = schema[name]
  if (isJson(schema['properties'])) kept['properties'] = Object.fromEntries(Object.entries(schema['properties']).map(([name, one]) => [name, structural(one as Json)]))
  else if (isJson(schema['additionalProperties'])) kept['additionalProperties'] = structural(schema['additionalProperties'])
  else if (schema['type'] === 'object') kept['x-kubernetes-preserve-unknown-fields'] = true
  if (schema['type'] === 'array') kept['items'] = isJson(schema['items']) ? structural(schema['items']) : { 'x-kubernetes-preserve-unknown-fields': true }
  return kept
}
