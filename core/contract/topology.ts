import { z } from 'zod'

/** The mesh as it moves, from what proxies reported over the last window: `GET …/topology`, and the `topology` event of `…/events`. Nothing here is estimated. */

const flow = {
  requestsPerSecond: z.number(),
  /** Share of requests answered 5xx or not at all, 0..1. */
  errorShare: z.number(),
  /** From histograms of whole requests at the caller; null when nothing reported a duration (a stock Envoy does not). */
  p50Ms: z.number().nullable(),
  p99Ms: z.number().nullable(),
}

const topologyVersion = z.object({
  /** The `version` label; empty when the workloads have none. */
  version: z.string(),
  workloads: z.number().int(),
  ...flow,
})

const topologyNode = z.object({
  /** `service/order-service.prod.svc.cluster.local`, `workload/prod/client` (calls and serves nothing), `gateway/istio-ingress/gateway`. */
  id: z.string(),
  kind: z.enum(['service', 'workload', 'gateway', 'external']),
  name: z.string(),
  namespace: z.string(),
  versions: z.array(topologyVersion),
  ...flow,
})

const topologyEdge = z.object({
  from: z.string(),
  to: z.string(),
  /** Of the callee; empty when it has none. */
  version: z.string(),
  ...flow,
  /** Share of requests that travelled over mutual TLS, as the handshake had it, 0..1; null when nothing reported it. */
  mutualTlsShare: z.number().nullable(),
})

export const topology = z.object({
  atMs: z.number(),
  windowMs: z.number(),
  revision: z.number().int(),
  nodes: z.array(topologyNode),
  edges: z.array(topologyEdge),
})

export type Topology = z.infer<typeof topology>
export type TopologyNode = z.infer<typeof topologyNode>
export type TopologyEdge = z.infer<typeof topologyEdge>
