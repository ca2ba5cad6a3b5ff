import { z } from 'zod'
import { durationNs } from '../resource/duration.ts'

const labels = z.record(z.string(), z.string())

/** One workload in words; a port is a number, or a number with the name that Services know it by. */
const workloadWords = z.strictObject({
  name: z.string().min(1),
  namespace: z.string().min(1),
  serviceAccount: z.string().optional(),
  labels: labels.optional(),
  address: z.string().optional().describe('Its IP address; one of a documentation range where it does not matter.'),
  moreAddresses: z.array(z.string()).optional().describe('Further addresses of its host, of the other family, where traffic is captured.'),
  names: z.array(z.string()).optional().describe('Names for which DNS has its address, where traffic is captured.'),
  network: z.string().optional(),
  locality: z.string().optional().describe('region/zone/subzone'),
  ports: z.array(z.union([z.int().min(1).max(65535), z.strictObject({ port: z.int().min(1).max(65535), name: z.string().optional(), listens: z.boolean().optional().describe('Whether its application does; true unless told otherwise.') })])).optional(),
  mutualTls: z.boolean().optional().describe('Whether a proxy is in front of it; true unless said otherwise.'),
  healthy: z.boolean().optional(),
  application: z
    .strictObject({
      certificate: z.array(z.string()).min(1).optional().describe('Names that its certificate bears, where TLS reaches it; those of the Gateways unless told otherwise.'),
      untrusted: z.boolean().optional().describe('Its certificate is from an authority that nobody trusts.'),
      revoked: z.boolean().optional().describe('Its certificate is one that its authority took back.'),
      mutual: z.boolean().optional().describe('It asks for client certificates, and closes connections without a good one.'),
      loopback: z.boolean().optional().describe('It listens on 127.0.0.1 alone, where traffic is captured.'),
      further: z.boolean().optional().describe('It listens at the further addresses of its host alone.'),
      proxyProtocol: z.boolean().optional().describe('Every connection begins with a header of the PROXY protocol.'),
      greets: z.boolean().optional().describe('It speaks first: its name, as soon as a connection stands, and closes.'),
      silent: z.boolean().optional().describe('It takes connections and says nothing, not even in a TLS handshake.'),
      keys: z.array(z.string().startsWith('/')).min(1).optional().describe('Paths at which it answers with the keys that sign the tokens of the run.'),
      modules: z.array(z.string().startsWith('/')).min(1).optional().describe('Paths at which it answers with a small Wasm module, which tells in headers how it was configured. Envoys have it as a file, too: `file://plugin.wasm`.'),
      authorizer: z
        .strictObject({
          allows: labels.describe('Headers that a request bears which it lets pass, as it is told of them; {}: any.'),
          allowed: labels.optional().describe('Headers of its yes. `{asked}` in a value is what it was asked: method, path, headers in order of name, then the body (`bytes` where gRPC carries it as such).'),
          denied: labels.optional().describe('Headers of its no, with `{asked}` likewise.'),
          status: z.int().min(200).max(599).optional().describe('Of its no; 403 unless told otherwise.'),
          body: z.string().optional().describe('Of its no.'),
        })
        .optional()
        .describe('It is asked about requests, over HTTP or gRPC (envoy.service.auth.v3).'),
    })
    .optional()
    .describe('What is special about the application behind it, where requests are played.'),
})
export type WorkloadWords = z.infer<typeof workloadWords>

/** A JSON Web Token (RFC 7519) that is signed when the run begins. */
const tokenWords = z.strictObject({
  issuer: z.string().optional(),
  subject: z.string().optional(),
  audiences: z.array(z.string()).min(1).optional(),
  claims: z.record(z.string(), z.unknown()).optional().describe('What else it says.'),
  algorithm: z.enum(['ES256', 'RS256']).optional().describe('ES256 unless told otherwise.'),
  expired: z.boolean().optional().describe('Its time is over; else it is good for two hours.'),
  early: z.boolean().optional().describe('Its time has not come.'),
  forged: z.boolean().optional().describe('Signed by a key that nobody published, under the name of one that is.'),
  unsigned: z.boolean().optional().describe('Of the algorithm `none`, without a signature.'),
})
export type TokenWords = z.infer<typeof tokenWords>

const duration = z.string().refine((text) => durationNs(text) !== undefined, 'a duration such as 10s')

const destination = z.strictObject({
  kind: z.enum(['service', 'workload-port', 'original-destination', 'host-by-dns', 'other']).optional(),
  host: z.string().optional(),
  subset: z.string().optional(),
  port: z.int().optional(),
  weight: z.number().optional().describe('Relative to the others.'),
})

const count = z.union([z.int().min(0), z.strictObject({ least: z.int().min(0).optional(), most: z.int().min(0).optional() })])
export type CountWords = z.infer<typeof count>

/** What must become of a request; what is not named is not judged. */
const expectation = z
  .strictObject({
    outcome: z.enum(['routed', 'redirect', 'direct-response', 'https-redirect', 'not-found', 'refused', 'blocked']).optional(),
    to: z.array(destination).optional(),
    status: z.int().optional(),
    headers: labels.optional().describe('Request headers as the application gets them; a value between slashes is a regular expression.'),
    location: z.string().optional(),
    rewrite: z.strictObject({ path: z.string().optional(), authority: z.string().optional() }).optional(),
    mirrors: z.array(destination.extend({ percent: z.number().optional() }).omit({ weight: true })).optional(),
    timeout: duration.optional(),
    retries: z.int().optional().describe('Tries beyond the first.'),
    by: z.string().optional().describe('The object that decided, KIND/NAMESPACE/NAME.'),
    withoutHeaders: z.array(z.string()).optional().describe('Request headers that must not reach the application.'),
    answer: z
      .strictObject({ headers: labels.optional().describe('A value between slashes is a regular expression.'), withoutHeaders: z.array(z.string()).optional(), body: z.string().optional() })
      .optional()
      .describe('What the caller is answered, by whoever answers. Judged where requests are played.'),
    answeredBy: z
      .union([z.literal('one'), z.array(z.string()).min(1), z.record(z.string(), z.number().min(0))])
      .optional()
      .describe('The workloads whose applications answer, each of them when the request is repeated; `one`: always the same; a map: in these shares. Judged where requests are played.'),
    statuses: z.record(z.string().regex(/^\d{3}$/), count).optional().describe('How many of the repeated requests are answered with which status; others than these must not come. Judged where requests are played.'),
    connections: count.optional().describe('On how many connections the applications see the requests. Judged where requests are played.'),
    received: z
      .strictObject({
        protocol: z.enum(['http/1.1', 'h2', 'bytes']).optional(),
        tls: z.boolean().optional(),
        sni: z.string().optional(),
        clientCertificate: z.boolean().optional(),
        pinged: z.boolean().optional().describe('The HTTP/2 connection got a PING.'),
        proxyProtocol: z.enum(['V1', 'V2']).optional(),
        keepAlive: duration.optional().describe('The connection is probed when it was idle for at most so long.'),
      })
      .optional()
      .describe('How the application is reached. Judged where requests are played.'),
    logged: z.boolean().optional().describe('Whether the first proxy writes a line of it. Judged where requests are played.'),
    log: z.record(z.string(), z.string()).optional().describe('Fields of the first proxy’s line in its access log; a value between slashes is a regular expression. Judged where requests are played.'),
    collected: z.strictObject({ all: z.array(z.string()).optional(), none: z.array(z.string()).optional() }).optional().describe('Texts that spans or log records sent to a collector in the mesh hold, and such as they do not. Judged where requests are played.'),
    metrics: z.strictObject({ all: z.array(z.string()).optional(), none: z.array(z.string()).optional() }).optional().describe('Lines of the first proxy’s metrics, by a part or as a regular expression between slashes: such as are there, and such as are not. Judged where requests are played.'),
    attempts: z.int().min(0).optional().describe('How often applications see the request, retries included. Judged where requests are played.'),
    elapsed: z.strictObject({ least: duration.optional(), most: duration.optional() }).optional().describe('How long the caller waits. Judged where requests are played.'),
    share: z.number().min(0).max(100).optional().describe('Of 100 requests so many have this status, the others are answered by the application. Judged where requests are played.'),
  })
  .refine((value) => Object.keys(value).length > 0, 'at least one expectation')
export type Expectation = z.infer<typeof expectation>

const requestWords = z.strictObject({
  method: z.string().optional(),
  url: z.string(),
  headers: z.record(z.string(), z.union([z.string(), z.array(z.string()).min(2)])).optional().describe('Of several values each is a line of its own.'),
  body: z.string().optional(),
  address: z.string().optional(),
  port: z.int().min(1).max(65535).optional(),
  sni: z.string().optional(),
  alpn: z.array(z.string()).optional(),
  tls: z.enum(['tls', 'mtls']).optional(),
  client: z.enum(['client', 'other', 'stranger']).optional().describe('Whose certificate it shows where it is played: of client.example.com, of other.example.com, or one of the first name from an authority that nobody trusts.'),
  tlsVersion: z.enum(['1.2', '1.3']).optional().describe('The only version of TLS that it speaks.'),
  cipher: z.string().optional().describe('The only cipher suite of TLS 1.2 that it speaks, by its OpenSSL name.'),
  curve: z.string().optional().describe('The only group of the key exchange that it speaks, by its OpenSSL name.'),
  protocol: z.enum(['http1', 'h2']).optional().describe('In plaintext; HTTP/1.1 unless told otherwise.'),
  source: z.string().optional().describe('The address of loopback that it comes from.'),
  silent: z.boolean().optional().describe('Of bytes: the caller says nothing, and waits for what comes.'),
  bytewise: z.boolean().optional().describe('HTTP/1.1 in plaintext, or bytes: said a byte at a time.'),
  proxyProtocol: z
    .strictObject({ version: z.enum(['V1', 'V2']), source: z.string() })
    .optional()
    .describe('The header of the PROXY protocol before it, and the address that it names as the caller’s, IPv4.'),
})

/** What applications do with a request, where it is played; they answer 200 unless told otherwise. */
const applicationWords = z.strictObject({
  status: z.int().min(200).max(599).optional(),
  delay: duration.optional(),
  reset: z.boolean().optional().describe('Closes the connection instead of an answer.'),
  times: z.int().min(1).optional().describe('So many requests, and then as always.'),
  together: z.int().min(2).optional().describe('Each answer waits until so many of the repeated requests are there.'),
  after: z.int().min(1).optional().describe('Each answer waits until so many of the repeated requests have been answered, by whomever.'),
  on: z.array(z.string()).min(1).optional().describe('The workloads whose applications do so; all of them unless told otherwise.'),
  headers: labels.optional().describe('Headers of the answer.'),
  grpc: z.int().min(0).max(16).optional().describe('Answers as a server of gRPC: a message with its name, and this status in trailers.'),
  holds: z.boolean().optional().describe('Leaves a connection without HTTP open after its answer.'),
})

export type RequestWords = z.infer<typeof requestWords>

const requestTest = z.strictObject({
  name: z.string().min(1),
  from: z.string().min(1),
  request: requestWords,
  expect: expectation,
  application: applicationWords.optional(),
  repeat: z.int().min(1).max(2000).optional().describe('How often it is played; enough to tell weights apart unless said otherwise.'),
  parallel: z.int().min(1).max(100).optional().describe('How many are under way at a time where it is repeated; 8 unless said otherwise.'),
  every: duration.optional().describe('Time between repeated requests, which are then sent one by one.'),
  brings: z.string().min(1).optional().describe('A header of the first answer that the requests after it bring back, one by one; `set-cookie` as a cookie.'),
  wait: duration.optional().describe('How long nothing is sent before it.'),
  healthy: z.record(z.string(), z.boolean()).optional().describe('Workloads, NAME.NAMESPACE, that come or go before it.'),
  captured: z.boolean().optional().describe('As of the file, for this one.'),
  playedOnly: z.string().min(1).optional().describe('Why the router cannot tell.'),
  envoyOnly: z.string().min(1).optional().describe('Why the bundled engine cannot play it.'),
  weftOnly: z.string().min(1).optional().describe('Why stock Envoys cannot play it.'),
  routerOnly: z.string().min(1).optional().describe('Why it cannot be played through live proxies.'),
})
export type RequestTest = z.infer<typeof requestTest>

/** `requests.yaml`: who exists, what is applied, which requests are made and what must become of them. */
export const requestsFile = z.strictObject({
  config: z.array(z.string()).optional().describe('Files and folders beside this one.'),
  workloads: z.array(workloadWords).optional().describe('Those that the configuration does not itself list.'),
  settings: z.strictObject({ outboundTrafficPolicy: z.enum(['ALLOW_ANY', 'ALLOW_ANY_DYNAMIC_DNS', 'REGISTRY_ONLY']).optional() }).optional(),
  trustDomain: z.string().optional(),
  missing: z.array(z.string()).optional().describe('Secrets that are named and stay away; others that are not there are made.'),
  tokens: z.record(z.string().regex(/^[\w-]+$/), tokenWords).optional().describe('By name; `${NAME}` in a header or URL of a request stands for it.'),
  captured: z.boolean().optional().describe('Whether live proxies capture what applications say. Unless told otherwise they do for requests that leave no other way: by address, as bytes, or in TLS of the application’s own.'),
  tests: z.array(requestTest).optional(),
})
export type RequestsFile = z.infer<typeof requestsFile>
