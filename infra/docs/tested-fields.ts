const waysToAsk = (probe: string): string[] =>
  ['httpGet', 'httpGet.path', 'httpGet.port', 'httpGet.host', 'httpGet.scheme', 'httpGet.httpHeaders', 'httpGet.httpHeaders[].name', 'httpGet.httpHeaders[].value', 'tcpSocket', 'tcpSocket.host', 'tcpSocket.port', 'exec', 'exec.command', 'grpc', 'grpc.port', 'grpc.service', 'timeoutSeconds'].map((field) => `${probe}.${field}`)
const timesToAsk = (probe: string): string[] => ['initialDelaySeconds', 'periodSeconds', 'successThreshold', 'failureThreshold'].map((field) => `${probe}.${field}`)

const GROUP = 'WorkloadGroup spec.probe'
const SIDECAR_POOLS = ['Sidecar spec.ingress[].connectionPool', 'Sidecar spec.inboundConnectionPool']
const MESH = 'MeshConfig spec.defaultConfig.readinessProbe'

/**
 * Fields that show in how a proxy starts, in what it asks its workload, or only when packets are lost, and so not in a golden case's requests; or that are read as others are which a golden case proves, and would make it slow: `KIND PATH`, by the file of tests that would fail if the field did nothing.
 */
export const testedFields: Readonly<Record<string, readonly string[]>> = {
  // Whole processes, with either engine.
  'test/mesh/proxy-settings.test.ts': [
    ...['spec.selector', 'spec.selector.matchLabels', 'spec.concurrency', 'spec.environmentVariables'].map((path) => `ProxyConfig ${path}`),
    ...['', '.httpGet', '.httpGet.path', '.httpGet.port', '.httpGet.httpHeaders', '.httpGet.httpHeaders[].name', '.httpGet.httpHeaders[].value'].map((path) => GROUP + path),
  ],
  // What reaches a proxy, and which of several counts.
  'api/translate/proxy-config.test.ts': [
    'WorkloadGroup spec.metadata.annotations',
    ...['concurrency', 'proxyMetadata', 'readinessProbe'].map((field) => `MeshConfig spec.defaultConfig.${field}`),
    ...[GROUP, MESH].flatMap((probe) => [...waysToAsk(probe), ...timesToAsk(probe)]),
  ],
  // What the proxy makes of it, with real servers and commands.
  'proxy/probe/ask.test.ts': [GROUP, MESH].flatMap(waysToAsk),
  'proxy/probe/readiness.test.ts': [GROUP, MESH].flatMap(timesToAsk),
  // What services are told that take access logs, by gRPC's own library at their end.
  'test/peers/log-services.test.ts': [
    ...['service', 'port', 'logName', 'logFormat.text', 'logFormat.labels'].map((field) => `MeshConfig spec.extensionProviders[].envoyOtelAls.${field}`),
    ...['envoyHttpAls', 'envoyTcpAls'].flatMap((kind) => ['service', 'port', 'logName', 'filterStateObjectsToLog'].map((field) => `MeshConfig spec.extensionProviders[].${kind}.${field}`)),
    ...['additionalRequestHeadersToLog', 'additionalResponseHeadersToLog', 'additionalResponseTrailersToLog'].map((field) => `MeshConfig spec.extensionProviders[].envoyHttpAls.${field}`),
  ],
  // What goes upstream and to collectors, as the engines that have these make of them.
  'test/peers/newer-tracing.test.ts': [
    ...['disableContextPropagation', 'customTags{}.formatter.value'].map((field) => `Telemetry spec.tracing[].${field}`),
    ...['defaultConfig.tracing.enableIstioTags', 'extensionProviders[].zipkin.path', 'extensionProviders[].opentelemetry.http.path'].map((field) => `MeshConfig spec.${field}`),
  ],
  // What the kernel and proxies make of packets that are lost.
  'test/capture/vanishing-peers.test.ts': [
    ...['DestinationRule spec.trafficPolicy.connectionPool.tcp.', ...SIDECAR_POOLS.map((pool) => `${pool}.tcp.`), 'MeshConfig spec.'].flatMap((place) => ['probes', 'interval'].map((field) => `${place}tcpKeepalive.${field}`)),
    'DestinationRule spec.trafficPolicy.connectionPool.http.http2KeepAlive.timeout',
    ...SIDECAR_POOLS.flatMap((pool) => [`${pool}.tcp.connectTimeout`, `${pool}.http.maxRetries`]),
  ],
  // What comes out of a registry, or of a server, to an Envoy.
  'test/mesh/module-images.test.ts': ['WasmPlugin spec.', 'TrafficExtension spec.wasm.'].flatMap((place) => ['url', 'imagePullPolicy', 'imagePullSecret'].map((field) => place + field)),
  // What proxies are sent: the same as for a Gateway's server, of whose settings golden cases prove what they do.
  'api/translate/served-tls.test.ts': [
    ...['caCrl', 'verifyCertificateSpki', 'verifyCertificateHash', 'minProtocolVersion', 'maxProtocolVersion', 'cipherSuites'].map((field) => `Sidecar spec.ingress[].tls.${field}`),
    ...['minProtocolVersion', 'cipherSuites'].map((field) => `MeshConfig spec.meshMTLS.${field}`),
  ],
  // What proxies are sent, and what ours makes of it.
  'api/translate/request-authentication.test.ts': ['RequestAuthentication spec.jwtRules[].timeout'],
  'proxy/filter/jwt.test.ts': ['RequestAuthentication spec.jwtRules[].timeout'],
  // What proxies are sent: without a name it is refused.
  'api/translate/patch/wasm-environment.test.ts': ['WasmPlugin spec.vmConfig.env[].name', 'TrafficExtension spec.wasm.vmConfig.env[].name'],
  // What proxies are sent. Nobody's real authorities vouch for what tests show.
  'api/translate/backend-tls.test.ts': ['BackendTLSPolicy spec.validation.wellKnownCACertificates', 'XBackend spec.tls.validation.wellKnownCACertificates'],
}
