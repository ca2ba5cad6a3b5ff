import { z } from 'zod'

/** `POST …/explain`: a request that nobody has to send, followed through the configuration as it is. */
export const explainRequest = z.strictObject({
  from: z.string().max(512).describe('Who asks: a workload NAME.NAMESPACE, gateway:NAME.NAMESPACE for what comes in there, or outside.'),
  method: z.string().max(64).optional().describe('GET unless said otherwise.'),
  url: z.string().max(8192).describe('http://HOST[:PORT]/PATH; tcp://HOST:PORT for bytes that are no HTTP.'),
  headers: z.record(z.string().max(256), z.string().max(8192)).optional(),
  address: z.string().max(64).optional().describe('The address that is dialled, where it is not that of the host.'),
  port: z.int().min(1).max(65535).optional().describe('The port that is dialled, where it is not that of the URL.'),
  sni: z.string().max(255).optional().describe('The server name in the caller’s own TLS.'),
  alpn: z.array(z.string().max(64)).max(16).optional().describe('What the caller’s own TLS offers.'),
  tls: z.enum(['tls', 'mtls']).optional().describe('The caller speaks TLS itself; mtls: with a certificate of the mesh.'),
})
export type ExplainRequest = z.infer<typeof explainRequest>

const origin = z.object({ resource: z.string().describe('VirtualService/prod/order-service'), field: z.string().describe('http[0].route[1]'), revision: z.number() })

const explainStep = z.object({
  side: z.enum(['client', 'server']),
  kind: z.enum(['listener', 'chain', 'scope', 'virtual-host', 'route', 'cluster', 'endpoint', 'transport', 'policy', 'application']),
  words: z.string(),
  matched: z.boolean().describe('False: tried, and passed over.'),
  origin: origin.optional(),
})

export const explainResponse = z.object({
  outcome: z.enum(['routed', 'redirect', 'https-redirect', 'direct-response', 'not-found', 'refused', 'blocked']),
  status: z.number().optional().describe('What the caller sees where the mesh itself answers.'),
  by: origin.optional().describe('The object that decided.'),
  why: z.string(),
  steps: z.array(explainStep),
  to: z.array(z.object({ cluster: z.string(), host: z.string(), subset: z.string(), port: z.number(), weight: z.number().describe('Of 100.'), endpoints: z.array(z.string()), origin: origin.optional() })),
  location: z.string().optional(),
  rewrite: z.object({ path: z.string().optional(), authority: z.string().optional() }).optional(),
  mirrors: z.array(z.object({ cluster: z.string(), percent: z.number() })),
  timeoutMs: z.number().optional(),
  retries: z.number().optional(),
})
export type ExplainResponse = z.infer<typeof explainResponse>
