const waysToAsk = (probe: string): string[] =>
  ['httpGet', 'httpGet.path', 'httpGet.port', 'httpGet.host', 'httpGet.scheme', 'httpGet.httpHeaders', 'httpGet.httpHeaders[].name', 'httpGet.httpHeaders[].value', 'tcpSocket', 'tcpSocket.host', 'tcpSocket.port', 'exec', 'exec.command', 'grpc', 'grpc.port', 'grpc.service', 'timeoutSeconds'].map((field) => `${probe}.${field}`)
const timesToAsk = (probe: string): string[] => ['initialDelaySeconds', 'periodSeconds', 'successThreshold', 'failureThreshold'].map((field) => `${probe}.${field}`)

const GROUP = 'WorkloadGroup spec.probe'
const MESH = 'MeshConfig spec.defaultConfig.readinessProbe'

/**
 * Fields that show in how a proxy starts, and in what it asks its workload, and so not in a golden case's requests: `KIND PATH`, by the file of tests that would fail if the field did nothing.
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
}
