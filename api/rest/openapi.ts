import { z } from 'zod'
import { problem } from '#core/contract/problem.ts'
import type { Route } from './route.ts'

type Json = Readonly<Record<string, unknown>>

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Record<string, unknown>
  return rest
}

/** OpenAPI 3.1 of the routes. */
export function openapiOf(routes: readonly Route[]): Json {
  const paths: Record<string, Record<string, Json>> = {}
  for (const route of routes) (paths[route.path] ??= {})[route.method.toLowerCase()] = operationOf(route)
  return {
    openapi: '3.1.0',
    info: { title: 'Weft', version: '1', description: 'The REST API of a Weft control plane. Failures are RFC 9457 problem documents with all findings at once.' },
    security: [{ key: [] }],
    paths,
    components: { securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'An API key, weft_key_…' } }, schemas: { Problem: schemaOf(problem, 'output') } },
  }
}

function operationOf(route: Route): Json {
  const query = route.query === undefined ? {} : ((schemaOf(route.query, 'input')['properties'] ?? {}) as Record<string, Json>)
  const parameters = [
    ...[...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
    ...Object.entries(query).map(([name, schema]) => ({ name, in: 'query', required: false, schema })),
    ...(route.idempotent ? [{ name: 'Idempotency-Key', in: 'header', required: false, schema: { type: 'string', maxLength: 255 } }] : []),
  ]
  const { status, schema, type } = route.answers
  const content = schema ? { content: { 'application/json': { schema: schemaOf(schema, 'output') } } } : type ? { content: { [type]: { schema: type.endsWith('yaml') ? {} : { type: 'string' } } } } : {}
  return {
    operationId: `${route.method.toLowerCase()}${route.path.replace('/api/v1', '').replaceAll(/[^A-Za-z]+(\w)?/g, (_, letter: string | undefined) => (letter ?? '').toUpperCase())}`,
    summary: route.summary,
    ...(route.open ? { security: [] } : {}),
    parameters,
    ...(route.body ? { requestBody: { required: true, content: { 'application/json': { schema: schemaOf(route.body, 'input') } } } } : {}),
    responses: {
      [status]: { description: 'Done', ...content },
      default: { description: 'A problem', content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } } },
    },
  }
}
