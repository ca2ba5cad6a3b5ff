import { z } from 'zod'
import { durationNs } from '../resource/duration.ts'

const labels = z.record(z.string(), z.string())

/** One workload in words; a port is a number, or a number with the name that Services know it by. */
export const workloadWords = z.strictObject({
  name: z.string().min(1),
  namespace: z.string().min(1),
  serviceAccount: z.string().optional(),
  labels: labels.optional(),
  address: z.string().optional().describe('Its IP address; one of a documentation range where it does not matter.'),
  network: z.string().optional(),
  locality: z.string().optional().describe('region/zone/subzone'),
  ports: z.array(z.union([z.int().min(1).max(65535), z.strictObject({ port: z.int().min(1).max(65535), name: z.string().optional() })])).optional(),
  mutualTls: z.boolean().optional().describe('Whether a proxy is in front of it; true unless said otherwise.'),
  healthy: z.boolean().optional(),
})
export type WorkloadWords = z.infer<typeof workloadWords>

const duration = z.string().refine((text) => durationNs(text) !== undefined, 'a duration such as 10s')

const destination = z.strictObject({
  kind: z.enum(['service', 'workload-port', 'original-destination', 'host-by-dns', 'other']).optional(),
  host: z.string().optional(),
  subset: z.string().optional(),
  port: z.int().optional(),
  weight: z.number().optional().describe('Relative to the others.'),
})

/** What must become of a request; what is not named is not judged. */
export const expectation = z
  .strictObject({
    outcome: z.enum(['routed', 'redirect', 'direct-response', 'https-redirect', 'not-found', 'refused', 'blocked']).optional(),
    to: z.array(destination).optional(),
    status: z.int().optional(),
    headers: labels.optional().describe('Request headers that the route sets on the way.'),
    location: z.string().optional(),
    rewrite: z.strictObject({ path: z.string().optional(), authority: z.string().optional() }).optional(),
    mirrors: z.array(destination.extend({ percent: z.number().optional() }).omit({ weight: true })).optional(),
    timeout: duration.optional(),
    retries: z.int().optional().describe('Tries beyond the first.'),
    by: z.string().optional().describe('The object that decided, KIND/NAMESPACE/NAME.'),
    withoutHeaders: z.array(z.string()).optional().describe('Request headers that must not reach the application.'),
    answer: z
      .strictObject({ headers: labels.optional(), withoutHeaders: z.array(z.string()).optional(), body: z.string().optional() })
      .optional()
      .describe('What the caller is answered, by whoever answers. Judged where requests are played.'),
    answeredBy: z
      .union([z.literal('one'), z.array(z.string()).min(1)])
      .optional()
      .describe('The workloads whose applications answer, each of them when the request is repeated; `one`: always the same. Judged where requests are played.'),
    attempts: z.int().min(0).optional().describe('How often applications see the request, retries included. Judged where requests are played.'),
    elapsed: z.strictObject({ least: duration.optional(), most: duration.optional() }).optional().describe('How long the caller waits. Judged where requests are played.'),
    share: z.number().min(0).max(100).optional().describe('Of 100 requests so many have this status, the others are answered by the application. Judged where requests are played.'),
  })
  .refine((value) => Object.keys(value).length > 0, 'at least one expectation')
export type Expectation = z.infer<typeof expectation>

export const requestWords = z.strictObject({
  method: z.string().optional(),
  url: z.string(),
  headers: labels.optional(),
  address: z.string().optional(),
  port: z.int().min(1).max(65535).optional(),
  sni: z.string().optional(),
  alpn: z.array(z.string()).optional(),
  tls: z.enum(['tls', 'mtls']).optional(),
})

/** What applications do with a request, where it is played; they answer 200 unless told otherwise. */
const applicationWords = z.strictObject({
  status: z.int().min(200).max(599).optional(),
  delay: duration.optional(),
  reset: z.boolean().optional().describe('Closes the connection instead of an answer.'),
  times: z.int().min(1).optional().describe('So many requests, and then as always.'),
})

export type RequestWords = z.infer<typeof requestWords>

export const requestTest = z.strictObject({
  name: z.string().min(1),
  from: z.string().min(1),
  request: requestWords,
  expect: expectation,
  application: applicationWords.optional(),
  repeat: z.int().min(1).max(2000).optional().describe('How often it is played; enough to tell weights apart unless said otherwise.'),
  playedOnly: z.string().min(1).optional().describe('Why the router cannot tell.'),
  routerOnly: z.string().min(1).optional().describe('Why it cannot be played through live proxies.'),
})
export type RequestTest = z.infer<typeof requestTest>

/** `requests.yaml`: who exists, what is applied, which requests are made and what must become of them. */
export const requestsFile = z.strictObject({
  config: z.array(z.string()).optional().describe('Files and folders beside this one.'),
  workloads: z.array(workloadWords).optional().describe('Those that the configuration does not itself list.'),
  settings: z.strictObject({ outboundTrafficPolicy: z.enum(['ALLOW_ANY', 'REGISTRY_ONLY']).optional() }).optional(),
  trustDomain: z.string().optional(),
  tests: z.array(requestTest).optional(),
})
export type RequestsFile = z.infer<typeof requestsFile>
