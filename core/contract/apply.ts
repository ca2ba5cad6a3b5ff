import { z } from 'zod'

/** `POST …/apply`: many objects, one transaction, one revision. */
export const applyRequest = z.strictObject({
  /** YAML or JSON documents as text, with the file that each came from: faults then name file and line. */
  files: z.array(z.strictObject({ name: z.string().max(4096), text: z.string() })).max(10_000).optional(),
  /** Or the objects themselves. */
  objects: z.array(z.looseObject({})).max(100_000).optional(),
  message: z.string().max(1000).optional(),
  /** Check everything, keep nothing. */
  dryRun: z.boolean().optional(),
  /** Delete what was applied before, bears these labels, and is not among the objects. */
  prune: z.strictObject({ labels: z.record(z.string(), z.string()) }).optional(),
})

const applyVerdict = z.enum(['created', 'configured', 'unchanged', 'deleted', 'absent', 'skipped'])

const applyResult = z.object({
  /** `virtualservice.networking.istio.io/order-service`, as kubectl names it. */
  name: z.string(),
  kind: z.string(),
  namespace: z.string(),
  verdict: applyVerdict,
})

export const applyResponse = z.object({
  /** The mesh's revision that holds all of this; the one it was at when nothing changed. */
  revision: z.number().int(),
  results: z.array(applyResult),
  /** Faults of severity `warning`: what passed, and will not do what its author may think. */
  warnings: z.array(z.unknown()),
})

/** `GET …/revisions/{revision}/wait?timeout=30s`: 200 when every concerned proxy acknowledged, 504 with the same body when time ran out, 200 with `rejected` when one refused. */
export const waitResponse = z.object({
  revision: z.number().int(),
  acknowledged: z.number().int(),
  /** Time from the commit to the acknowledgements of the proxies that the change concerned; null when it concerned none, or not all have answered. */
  p50Ms: z.number().nullable(),
  p99Ms: z.number().nullable(),
  stragglers: z.array(z.string()),
  rejected: z.array(z.object({ proxy: z.string(), message: z.string(), resources: z.array(z.string()), origins: z.array(z.string()) })),
})

export type ApplyRequest = z.infer<typeof applyRequest>
export type ApplyResponse = z.infer<typeof applyResponse>
export type WaitResponse = z.infer<typeof waitResponse>
