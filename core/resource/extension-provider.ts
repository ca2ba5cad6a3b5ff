import { z } from 'zod'
import { atMostOne, durationOrZero, flag, judged, text, textMap, texts, uint32 } from './field.ts'

const service = {
  service: text().optional().describe('The service, [NAMESPACE/]HOST. Needed.'),
  port: uint32().optional().describe('Its port. Needed.'),
}
const maxTagLength = uint32().optional().describe('Characters of the path in a span, at most.')
const grpc = z
  .strictObject({ timeout: durationOrZero().optional().describe('How long an answer may take.'), initialMetadata: z.array(header()).optional().describe('Metadata of each call.') })
  .optional()
  .describe('Details of gRPC.')

function header() {
  return z.strictObject({ name: text().optional().describe('Name.'), value: text().optional().describe('Value.'), envName: text().optional().describe('Variable of the environment that holds the value.') })
}

const requestBody = z
  .strictObject({
    maxRequestBytes: uint32().optional().describe('Bytes of the body that are held, at most; a larger one is answered with 413.'),
    allowPartialMessage: flag().optional().describe('Sends what fits instead.'),
    packAsBytes: flag().optional().describe('Sends bytes, not text.'),
  })
  .optional()
  .describe('Whether and how the body is sent, too.')

const authorizer = {
  ...service,
  timeout: durationOrZero().optional().describe('How long an answer may take; 600s by default.'),
  failOpen: flag().optional().describe('Lets requests through when the service fails.'),
  clearRouteCache: flag().optional().describe('Chooses the route again after the service has changed headers.'),
  statusOnError: text().optional().describe('Status when the service fails; 403 by default.'),
  includeRequestBodyInCheck: requestBody,
}

const httpService = z
  .strictObject({ path: text().optional().describe('The path.'), timeout: durationOrZero().optional().describe('How long an answer may take; 3s by default.'), headers: z.array(header()).optional().describe('Headers of each request.') })
  .optional()
  .describe('Sends by HTTP and not by gRPC.')

const logFormat = z.strictObject({ text: text().optional().describe('Format as text.'), labels: z.record(z.string(), z.unknown()).optional().describe('Format as JSON.') }).optional().describe('The format.')
const int64 = (what: string) => z.union([z.int(), z.string().regex(/^-?\d+$/)]).optional().describe(what)
const filterStates = texts().optional().describe('Filter state that is logged, too.')

const fields = {
  envoyExtAuthzHttp: z
    .strictObject({
      ...authorizer,
      pathPrefix: text().optional().describe('Stands before the path in the question.'),
      includeHeadersInCheck: texts().optional().describe('Deprecated: use includeRequestHeadersInCheck.'),
      includeRequestHeadersInCheck: texts().optional().describe('Request headers that are sent, abc, abc* or *abc.'),
      includeAdditionalHeadersInCheck: textMap().optional().describe('Further headers that are sent.'),
      headersToUpstreamOnAllow: texts().optional().describe('Headers of the answer that go on with the request.'),
      headersToDownstreamOnDeny: texts().optional().describe('Headers of a refusal that go back.'),
      headersToDownstreamOnAllow: texts().optional().describe('Headers of a consent that go back.'),
    })
    .optional()
    .describe('An authorizer by HTTP.'),
  envoyExtAuthzGrpc: z.strictObject(authorizer).optional().describe('An authorizer by gRPC.'),
  zipkin: z
    .strictObject({ ...service, maxTagLength, enable64bitTraceId: flag().optional().describe('Trace ids of 64 bits.'), path: text().optional().describe('The path; /api/v2/spans by default.'), timeout: durationOrZero().optional().describe('How long an answer may take.'), headers: z.array(header()).optional().describe('Headers of each request.'), traceContextOption: z.enum(['USE_B3', 'USE_B3_WITH_W3C_PROPAGATION']).optional().describe('Forms in which the trace context travels.') })
    .optional()
    .describe('Spans to Zipkin.'),
  lightstep: z.strictObject({ ...service, accessToken: text().optional().describe('The access token.'), maxTagLength }).optional().describe('Deprecated: spans to Lightstep.'),
  datadog: z.strictObject({ ...service, maxTagLength }).optional().describe('Spans to Datadog.'),
  stackdriver: z
    .strictObject({
      debug: flag().optional().describe('Not in use.'),
      maxNumberOfAttributes: int64('Not in use.'),
      maxNumberOfAnnotations: int64('Not in use.'),
      maxNumberOfMessageEvents: int64('Not in use.'),
      maxTagLength,
      logging: z.strictObject({ labels: textMap().optional().describe('Labels of each entry.') }).optional().describe('Its logs.'),
    })
    .optional()
    .describe('Stackdriver.'),
  opencensus: z.strictObject({ ...service, context: z.array(z.enum(['UNSPECIFIED', 'W3C_TRACE_CONTEXT', 'GRPC_BIN', 'CLOUD_TRACE_CONTEXT', 'B3'])).optional().describe('Forms in which the trace context travels.'), maxTagLength }).optional().describe('Deprecated: spans to OpenCensus.'),
  skywalking: z.strictObject({ ...service, accessToken: text().optional().describe('The access token.') }).optional().describe('Spans to SkyWalking.'),
  opentelemetry: z
    .strictObject({
      ...service,
      maxTagLength,
      http: httpService,
      grpc,
      resourceDetectors: z.strictObject({ environment: z.strictObject({}).optional().describe('Reads OTEL_RESOURCE_ATTRIBUTES.'), dynatrace: z.strictObject({}).optional().describe('Reads Dynatrace’s files.') }).optional().describe('Where attributes of the resource come from.'),
      dynatraceSampler: z
        .strictObject({ tenant: text().optional().describe('The tenant.'), clusterId: z.int().optional().describe('The cluster.'), rootSpansPerMinute: uint32().optional().describe('Spans per minute; 1000 by default.'), httpService: z.strictObject({ ...service, http: httpService }).optional().describe('Where settings are read.') })
        .optional()
        .describe('Samples as Dynatrace says.'),
      serviceAttributeEnrichment: z.enum(['ISTIO_CANONICAL', 'OTEL_SEMANTIC_CONVENTIONS']).optional().describe('How the service is named.'),
    })
    .optional()
    .describe('Spans by OTLP.'),
  prometheus: z.strictObject({}).optional().describe('Metrics for Prometheus.'),
  envoyFileAccessLog: z.strictObject({ path: text().optional().describe('The file; /dev/stdout by default.'), logFormat, omitEmptyValues: flag().optional().describe('Leaves out what is empty.') }).optional().describe('Access logs into a file.'),
  envoyHttpAls: z
    .strictObject({ ...service, logName: text().optional().describe('Name of the log.'), filterStateObjectsToLog: filterStates, additionalRequestHeadersToLog: texts().optional().describe('Request headers that are logged, too.'), additionalResponseHeadersToLog: texts().optional().describe('Response headers that are logged, too.'), additionalResponseTrailersToLog: texts().optional().describe('Response trailers that are logged, too.') })
    .optional()
    .describe('Access logs of HTTP by gRPC.'),
  envoyTcpAls: z.strictObject({ ...service, logName: text().optional().describe('Name of the log.'), filterStateObjectsToLog: filterStates }).optional().describe('Access logs of TCP by gRPC.'),
  envoyOtelAls: z.strictObject({ ...service, logName: text().optional().describe('Name of the log.'), logFormat, filterStateObjectsToLog: filterStates }).optional().describe('Access logs by OTLP.'),
  sds: z.strictObject({ name: text().optional().describe('Name of the secret provider.'), ...service }).optional().describe('Secrets by SDS.'),
}

/** A service outside the proxy to which other objects refer by name: an authorizer, a collector of spans, a log, metrics. Istio looks into one when it is used, and not before. */
export const extensionProvider = z
  .strictObject({ name: text().optional().describe('A name, unique in the mesh.'), ...fields })
  .superRefine(judged((value) => atMostOne(value, Object.keys(fields))))
export type ExtensionProvider = z.infer<typeof extensionProvider>
