import { z } from 'zod'
import { atMostOne, duration, durationOrZero, flag, int32, judged, text, textMap, texts, uint32 } from './field.ts'
import type { Complaint } from './field.ts'
import { tcpKeepalive } from './connection-pool.ts'
import { durationNs } from './duration.ts'
import { hostPortComplaint } from './network-address.ts'
import { proxyImage } from './proxy-config.ts'
import { readinessProbe } from './readiness-probe.ts'
import { clientTls } from './traffic-policy.ts'

const hostPort = (what: string) =>
  text()
    .superRefine(
      judged(function* (value: string): Iterable<Complaint> {
        const complaint = value === '' ? undefined : hostPortComplaint(value)
        if (complaint !== undefined) yield { rule: complaint }
      }),
    )
    .optional()
    .describe(what)

/** An address that must be there once its tracer is named; $(HOST_IP) stands for the address of the host. */
const collector = text()
  .optional()
  .describe('HOST:PORT of the collector; $(HOST_IP) stands for the host’s address.')

const needsAddress = judged(function* (value: { address?: string | undefined }): Iterable<Complaint> {
  const complaint = hostPortComplaint((value.address ?? '').replace('$(HOST_IP)', '127.0.0.1'))
  if (complaint !== undefined) yield { at: ['address'], ...(value.address === undefined ? { code: 'object.field-required' as const } : { value: value.address }), rule: complaint }
})

const remoteService = (what: string) =>
  z
    .strictObject({
      address: hostPort('HOST:PORT of the service.'),
      tlsSettings: clientTls.optional().describe('How connections to it are secured.'),
      tcpKeepalive: tcpKeepalive.optional().describe('Keep-alive of connections to it.'),
    })
    .optional()
    .describe(what)

const TRACERS = ['zipkin', 'lightstep', 'datadog', 'stackdriver', 'openCensusAgent'] as const
const attribute = (what: string) => z.union([z.int(), z.string().regex(/^-?\d+$/)]).optional().describe(what)
const tagSource = z.strictObject({ name: text().optional().describe('Its name.'), defaultValue: text().optional().describe('The value where it is not there.') })

const meshTracing = z
  .strictObject({
    zipkin: z.strictObject({ address: collector }).superRefine(needsAddress).optional().describe('Spans go to Zipkin.'),
    lightstep: z
      .strictObject({ address: collector, accessToken: text().optional().describe('The access token.') })
      .superRefine(needsAddress)
      .superRefine(judged(function* (value): Iterable<Complaint> {
        if (!value.accessToken) yield { at: ['accessToken'], code: 'object.field-required', rule: 'the access token' }
      }))
      .optional()
      .describe('Deprecated: spans go to Lightstep.'),
    datadog: z.strictObject({ address: collector }).superRefine(needsAddress).optional().describe('Spans go to a Datadog agent.'),
    stackdriver: z
      .strictObject({
        debug: flag().optional().describe('Spans go to standard output, too.'),
        maxNumberOfAttributes: attribute('Attributes of a span, at most; 200 by default.'),
        maxNumberOfAnnotations: attribute('Annotations of a span, at most; 200 by default.'),
        maxNumberOfMessageEvents: attribute('Message events of a span, at most; 200 by default.'),
      })
      .optional()
      .describe('Spans go to Stackdriver.'),
    openCensusAgent: z
      .strictObject({
        address: text().optional().describe('gRPC address of the agent.'),
        context: z.array(z.enum(['UNSPECIFIED', 'W3C_TRACE_CONTEXT', 'GRPC_BIN', 'CLOUD_TRACE_CONTEXT', 'B3'])).optional().describe('Forms in which the trace context travels.'),
      })
      .optional()
      .describe('Spans go to an OpenCensus agent.'),
    customTags: z
      .record(
        z.string(),
        z
          .strictObject({ literal: z.strictObject({ value: text().optional().describe('The value.') }).optional().describe('A fixed value.'), environment: tagSource.optional().describe('A variable of the environment.'), header: tagSource.optional().describe('A request header.') })
          .superRefine(judged((value) => atMostOne(value, ['literal', 'environment', 'header']))),
      )
      .optional()
      .describe('Further tags of every span.'),
    maxPathTagLength: uint32().optional().describe('Characters of the path in a span, at most; 256 by default.'),
    sampling: z.number().optional().describe('Share of requests that are traced, 0.0..100.0; 1.0 by default.'),
    tlsSettings: clientTls.optional().describe('How connections to the collector are secured.'),
    enableIstioTags: flag().optional().describe('Whether Istio’s own tags are set.'),
  })
  .superRefine(judged((value) => atMostOne(value, TRACERS)))

const pollDelay = z
  .strictObject({ pollDelay: durationOrZero().optional().describe('How long signatures are gathered before they are made; not 0.'), fallback: flag().optional().describe('Whether signatures are made without the hardware where there is none.') })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (value.pollDelay === undefined) yield { at: ['pollDelay'], code: 'object.field-required', rule: 'a duration' }
      else if (durationNs(value.pollDelay) === 0) yield { at: ['pollDelay'], value: value.pollDelay, rule: 'a duration above 0' }
    }),
  )

const tcpPort = (what: string) => z.int().min(1).max(65535).optional().describe(what)

/** Istio's mesh.v1alpha1 ProxyConfig: what every proxy starts with. Judged as laid over Istio's defaults, so that a field left out is never missing, and one left empty is. */
export const meshProxyConfig = z
  .strictObject({
    configPath: z.string().min(1).optional().describe('Folder of the generated configuration; ./etc/istio/proxy by default.'),
    binaryPath: z.string().min(1).optional().describe('The proxy’s binary; /usr/local/bin/envoy by default.'),
    serviceCluster: z.string().min(1).optional().describe('Name of the service in spans and logs; istio-proxy by default.'),
    tracingServiceName: z.enum(['APP_LABEL_AND_NAMESPACE', 'CANONICAL_NAME_ONLY', 'CANONICAL_NAME_AND_NAMESPACE']).optional().describe('How the service is named in spans.'),
    drainDuration: duration()
      .superRefine(judged(function* (value: string): Iterable<Complaint> {
        if ((durationNs(value) ?? 0) % 1e9 !== 0) yield { rule: 'a duration in whole seconds' }
      }))
      .optional()
      .describe('How long connections drain at a hot restart; 45s by default.'),
    parentShutdownDuration: durationOrZero().optional().describe('How long the old process lives at a hot restart; 60s by default.'),
    discoveryAddress: text()
      .superRefine(judged(function* (value: string): Iterable<Complaint> {
        const complaint = hostPortComplaint(value)
        if (complaint !== undefined) yield { rule: complaint }
      }))
      .optional()
      .describe('HOST:PORT of the control plane; istiod.istio-system.svc:15012 by default.'),
    discoveryRefreshDelay: durationOrZero().optional().describe('Not in use.'),
    zipkinAddress: text().optional().describe('Deprecated: use tracing.'),
    statsdUdpAddress: hostPort('HOST:PORT of a statsd listener.'),
    envoyMetricsServiceAddress: hostPort('Deprecated: use envoyMetricsService.'),
    proxyAdminPort: tcpPort('Port of the proxy’s admin interface; 15000 by default.'),
    availabilityZone: text().optional().describe('Not in use.'),
    controlPlaneAuthPolicy: z.enum(['NONE', 'MUTUAL_TLS']).optional().describe('How the proxy connects to the control plane; MUTUAL_TLS by default.'),
    customConfigFile: text().optional().describe('File of a proxy configuration of one’s own.'),
    statNameLength: int32().optional().describe('Characters of a metric’s name, at most; 189 by default.'),
    concurrency: int32().optional().describe('Worker threads; 0 for as many as there are cores. ProxyConfigs override it.'),
    proxyBootstrapTemplatePath: text().optional().describe('File of the bootstrap’s template.'),
    interceptionMode: z.enum(['REDIRECT', 'TPROXY', 'NONE']).optional().describe('How inbound traffic is captured; REDIRECT by default.'),
    tracing: meshTracing.optional().describe('Spans.'),
    sds: z.strictObject({ enabled: flag().optional().describe('Not in use.'), k8sSaJwtPath: text().optional().describe('Not in use.') }).optional().describe('Not in use.'),
    envoyAccessLogService: remoteService('Service that takes access logs by gRPC.'),
    envoyMetricsService: remoteService('Service that takes metrics by gRPC.'),
    proxyMetadata: textMap().optional().describe('Variables of the proxy’s environment; ISTIO_META_… are sent to the control plane.'),
    runtimeValues: textMap().optional().describe('Envoy’s runtime.'),
    statusPort: tcpPort('Port of the agent; 15020 by default.'),
    extraStatTags: texts().optional().describe('Further tags that become labels of metrics.'),
    gatewayTopology: z
      .strictObject({
        numTrustedProxies: uint32().optional().describe('Proxies in front of gateways whose X-Forwarded-For is believed; 0 by default.'),
        forwardClientCertDetails: z.enum(['UNDEFINED', 'SANITIZE', 'FORWARD_ONLY', 'APPEND_FORWARD', 'SANITIZE_SET', 'ALWAYS_FORWARD_ONLY']).optional().describe('What becomes of X-Forwarded-Client-Cert; SANITIZE by default.'),
        proxyProtocol: z.strictObject({}).optional().describe('Gateways expect the PROXY protocol.'),
      })
      .optional()
      .describe('What stands in front of gateways.'),
    terminationDrainDuration: durationOrZero().optional().describe('How long connections drain at the end; 5s by default.'),
    meshId: text().optional().describe('Name of the mesh in telemetry.'),
    readinessProbe: readinessProbe.optional().describe('How a workload outside any cluster is asked whether it is ready.'),
    proxyStatsMatcher: z
      .strictObject({
        inclusionPrefixes: texts().optional().describe('Beginnings of names.'),
        inclusionSuffixes: texts().optional().describe('Ends of names.'),
        inclusionRegexps: texts().optional().describe('Regular expressions for names.'),
      })
      .optional()
      .describe('Further metrics of the proxy that are kept.'),
    holdApplicationUntilProxyStarts: flag().optional().describe('Whether the application starts after its proxy; false by default.'),
    caCertificatesPem: texts().optional().describe('Further roots for connections between workloads.'),
    image: proxyImage.optional().describe('The image that is injected.'),
    privateKeyProvider: z
      .strictObject({ cryptomb: pollDelay.optional().describe('CryptoMB.'), qat: pollDelay.optional().describe('QAT.') })
      .superRefine(judged(function* (value): Iterable<Complaint> {
        if (value.cryptomb === undefined && value.qat === undefined) yield { code: 'object.field-required', rule: 'one of cryptomb, qat' }
        yield* atMostOne(value, ['cryptomb', 'qat'])
      }))
      .optional()
      .describe('Hardware that signs.'),
    proxyHeaders: z
      .strictObject({
        forwardedClientCert: z.enum(['UNDEFINED', 'SANITIZE', 'FORWARD_ONLY', 'APPEND_FORWARD', 'SANITIZE_SET', 'ALWAYS_FORWARD_ONLY']).optional().describe('What becomes of X-Forwarded-Client-Cert.'),
        setCurrentClientCertDetails: z
          .strictObject({ subject: flag().optional().describe('The subject.'), cert: flag().optional().describe('The certificate.'), chain: flag().optional().describe('Its chain.'), dns: flag().optional().describe('DNS names.'), uri: flag().optional().describe('URIs.') })
          .optional()
          .describe('What X-Forwarded-Client-Cert says of the client’s certificate.'),
        requestId: z.strictObject({ disabled: flag().optional().describe('Whether it is left out.') }).optional().describe('x-request-id.'),
        server: z.strictObject({ disabled: flag().optional().describe('Whether it is left out.'), value: text().optional().describe('Its value; istio-envoy by default.') }).optional().describe('The server header.'),
        attemptCount: z.strictObject({ disabled: flag().optional().describe('Whether it is left out.') }).optional().describe('x-envoy-attempt-count.'),
        envoyDebugHeaders: z.strictObject({ disabled: flag().optional().describe('Whether they are left out.') }).optional().describe('Other x-envoy- headers.'),
        metadataExchangeHeaders: z.strictObject({ mode: z.enum(['UNDEFINED', 'IN_MESH']).optional().describe('Whether they leave the mesh.') }).optional().describe('x-envoy-peer-metadata.'),
        preserveHttp1HeaderCase: flag().optional().describe('Keeps the case of header names.'),
        xForwardedHost: z.strictObject({ enabled: flag().optional().describe('Whether it is set.') }).optional().describe('x-forwarded-host.'),
        xForwardedPort: z.strictObject({ enabled: flag().optional().describe('Whether it is set.') }).optional().describe('x-forwarded-port.'),
      })
      .optional()
      .describe('Headers that proxies add.'),
    fileFlushInterval: durationOrZero().optional().describe('How often access logs are written; 1s by default.'),
    fileFlushMinSizeKb: uint32().optional().describe('Kilobytes of access logs that are written at once; 64 by default.'),
    statsEvictionInterval: durationOrZero().optional().describe('How often unused metrics are dropped.'),
    statsCompression: flag().optional().describe('Whether metrics may be compressed.'),
  })
  .superRefine(judged((value) => atMostOne(value, ['serviceCluster', 'tracingServiceName'])))
export type MeshProxyConfig = z.infer<typeof meshProxyConfig>
