import { z } from 'zod'
import { explainResponse } from './explain.ts'

/** `POST …/impact`: what an `apply` of the same would do, before anything is stored. */
export const impactRequest = z.strictObject({
  files: z.array(z.strictObject({ name: z.string().max(4096), text: z.string() })).max(10_000).optional(),
  objects: z.array(z.looseObject({})).max(100_000).optional(),
  /** Objects that would go. */
  removals: z
    .array(z.strictObject({ group: z.string().max(253), kind: z.string().min(1).max(63), namespace: z.string().max(63), name: z.string().min(1).max(253) }))
    .max(10_000)
    .optional(),
})
export type ImpactRequest = z.infer<typeof impactRequest>

const impactResource = z.object({
  type: z.string().describe('type.googleapis.com/envoy.config.route.v3.RouteConfiguration'),
  name: z.string(),
  change: z.enum(['added', 'changed', 'removed']),
  origins: z.array(z.string()).describe('The objects that it comes from.'),
})

const outcome = explainResponse.pick({ outcome: true, status: true, by: true, why: true, location: true, rewrite: true, mirrors: true, timeoutMs: true, retries: true }).extend({
  to: z.array(z.object({ host: z.string(), subset: z.string(), port: z.number(), weight: z.number().describe('Of 100.'), endpoints: z.int().describe('Healthy ones.') })),
})
export type CallOutcome = z.infer<typeof outcome>

const impactCall = z.object({
  from: z.string().describe('NAME.NAMESPACE, or gateway:NAME.NAMESPACE'),
  method: z.string().nullable().describe('Null for bytes that are no HTTP.'),
  url: z.string(),
  assumed: z.boolean().describe('The caller’s proxy tells which service it called and no more: method and path are assumed.'),
  lastSeenAt: z.string(),
  before: outcome,
  after: outcome,
})

export const impactResponse = z.object({
  revision: z.int().describe('The revision of the mesh that was looked at.'),
  objects: z.array(z.object({ name: z.string(), kind: z.string(), namespace: z.string(), verdict: z.enum(['created', 'configured', 'unchanged', 'deleted', 'absent', 'skipped']) })),
  warnings: z.array(z.unknown()),
  proxies: z.object({ total: z.int().describe('Connected to any replica.'), affected: z.int() }),
  workloads: z.array(z.object({ name: z.string().describe('NAMESPACE/NAME, by the canonical name of the workload'), proxies: z.int() })).describe('The affected proxies, counted by workload.'),
  groups: z
    .array(z.object({ proxies: z.array(z.string()), resources: z.array(impactResource) }))
    .describe('Proxies for which the same resources would change, those of most proxies first. What is named by a proxy’s own address is named as the first of them has it.'),
  calls: z.array(impactCall).describe('Of the calls seen, those that would be routed or authorised differently.'),
  callsSeen: z.int(),
  callsUnknown: z.int().describe('Calls seen of which it cannot be said: what the gateway was asked is not told, or their caller is gone.'),
})
export type Impact = z.infer<typeof impactResponse>
