import { z } from 'zod'
import { duration, flag, judged, text } from './field.ts'
import type { Complaint } from './field.ts'
import { warning } from '../fault/fault.ts'
import type { Fault } from '../fault/fault.ts'
import { expressionComplaint } from '../match/expression-syntax.ts'
import type { ResourceKind } from './kind.ts'
import type { ResourceObject } from './object.ts'
import { emptySelectorWarnings, whereComplaints, whereFields } from './selector.ts'

function* filterComplaints({ expression = '' }: { expression?: string | undefined }): Iterable<Complaint> {
  const rule = expressionComplaint(expression)
  if (rule !== undefined) yield { at: ['expression'], value: expression, rule: `an expression in CEL: ${rule}` }
}

const mode = z.enum(['CLIENT_AND_SERVER', 'CLIENT', 'SERVER']).optional().describe('Whether it counts for outbound traffic, inbound, or both (the default).')
const providers = z.array(z.strictObject({ name: z.string().min(1).describe('A provider of the mesh.') })).optional().describe('Where it goes.')

const one = (names: readonly string[]) =>
  judged(function* (value: Readonly<Record<string, unknown>>): Iterable<Complaint> {
    const given = names.filter((name) => value[name] !== undefined)
    if (given.length > 1) yield { at: [given[1] ?? ''], code: 'object.field-conflict', rule: `only one of ${names.join(', ')} may be set` }
  })

const named = z.strictObject({ name: z.string().min(1).describe('Its name.'), defaultValue: text().optional().describe('The value where it is not there.') })
const valued = z.strictObject({ value: z.string().min(1).describe('The value.') })

const customTag = z
  .strictObject({
    literal: valued.optional().describe('A fixed value.'),
    environment: named.optional().describe('A variable of the proxy’s environment.'),
    header: named.optional().describe('A request header.'),
    formatter: valued.optional().describe('A format in the manner of access logs.'),
  })
  .superRefine(one(['literal', 'environment', 'header', 'formatter']))

const tracing = z.strictObject({
  match: z.strictObject({ mode }).optional().describe('Which traffic.'),
  providers,
  randomSamplingPercentage: z.number().min(0).max(100).optional().describe('The share of requests that are traced, where the caller has not decided.'),
  disableSpanReporting: flag().optional().describe('Makes no spans, but passes their context on.'),
  disableContextPropagation: flag().optional().describe('Does not pass context on.'),
  customTags: z.record(z.string(), customTag).optional().describe('Further tags.'),
  enableIstioTags: flag().optional().describe('Whether Istio’s own tags are set.'),
  useRequestIdForTraceSampling: flag().optional().describe('Whether the request id decides on sampling.'),
})

const metrics = z.strictObject({
  providers,
  overrides: z
    .array(
      z.strictObject({
        match: z
          .strictObject({
            metric: z.enum(['ALL_METRICS', 'REQUEST_COUNT', 'REQUEST_DURATION', 'REQUEST_SIZE', 'RESPONSE_SIZE', 'TCP_OPENED_CONNECTIONS', 'TCP_CLOSED_CONNECTIONS', 'TCP_SENT_BYTES', 'TCP_RECEIVED_BYTES', 'GRPC_REQUEST_MESSAGES', 'GRPC_RESPONSE_MESSAGES']).optional().describe('One of Istio’s metrics.'),
            customMetric: z.string().min(1).optional().describe('Another metric.'),
            mode,
          })
          .superRefine(one(['metric', 'customMetric']))
          .optional()
          .describe('Which metrics.'),
        disabled: flag().optional().describe('Switches them off.'),
        tagOverrides: z
          .record(
            z.string(),
            z
              .strictObject({ operation: z.enum(['UPSERT', 'REMOVE']).optional().describe('Sets the tag, or removes it.'), value: text().optional().describe('An expression for its value.') })
              .superRefine(
                judged(function* (value): Iterable<Complaint> {
                  if ((value.operation ?? 'UPSERT') === 'UPSERT' && !value.value) yield { at: ['value'], code: 'object.field-required', rule: 'needed for UPSERT' }
                  if (value.operation === 'REMOVE' && value.value !== undefined) yield { at: ['value'], code: 'object.field-conflict', rule: 'not for REMOVE' }
                }),
              ),
          )
          .optional()
          .describe('Tags to set or remove.'),
      }),
    )
    .optional()
    .describe('Changes to single metrics.'),
  reportingInterval: duration().optional().describe('Time between reports of TCP metrics; 5s by default.'),
})

const accessLogging = z.strictObject({
  match: z.strictObject({ mode }).optional().describe('Which traffic.'),
  providers,
  disabled: flag().optional().describe('Switches it off.'),
  filter: z.strictObject({ expression: text().optional().describe('A CEL expression over Envoy’s attributes.') }).superRefine(judged(filterComplaints)).optional().describe('Which requests are logged.'),
})

const telemetrySpec = z
  .strictObject({
    ...whereFields,
    tracing: z.array(tracing).optional().describe('Tracing.'),
    metrics: z.array(metrics).optional().describe('Metrics.'),
    accessLogging: z.array(accessLogging).optional().describe('Access logs.'),
  })
  .superRefine(judged(whereComplaints))
export type TelemetrySpec = z.infer<typeof telemetrySpec>
type Telemetry = ResourceObject & { readonly spec?: TelemetrySpec | undefined }

function check(object: Telemetry): Fault[] {
  const spec = object.spec
  const faults = emptySelectorWarnings(spec?.selector, 'spec.selector')
  if ((spec?.tracing?.length ?? 0) > 1) faults.push(warning('object.field-inert', { path: 'spec.tracing', rule: 'only the first entry counts' }))
  for (const [index, entry] of (spec?.tracing ?? []).entries()) {
    if ((entry.providers?.length ?? 0) > 1) faults.push(warning('object.field-inert', { path: `spec.tracing[${index}].providers`, rule: 'only the first provider counts' }))
  }
  return faults
}

export const telemetry: ResourceKind<{ spec?: TelemetrySpec | undefined }> = {
  group: 'telemetry.istio.io',
  versions: ['v1', 'v1alpha1'],
  kind: 'Telemetry',
  plural: 'telemetries',
  singular: 'telemetry',
  shortNames: ['telemetry'],
  categories: ['istio-io', 'telemetry-istio-io'],
  namespaced: true,
  description: 'What proxies report: traces, metrics, access logs.',
  fields: z.strictObject({ spec: telemetrySpec.optional().describe('What is reported.') }),
  check,
  secretFields: [],
  printerColumns: [],
  example: { apiVersion: 'telemetry.istio.io/v1', kind: 'Telemetry', metadata: { name: 'default', namespace: 'default' }, spec: { tracing: [{ randomSamplingPercentage: 10 }] } },
}
