/** Protocols that a port may be said to speak, as Istio has them; case does not matter. */
export const PROTOCOLS = ['HTTP', 'HTTPS', 'HTTP2', 'GRPC', 'GRPC-WEB', 'TCP', 'TLS', 'UDP', 'MONGO', 'REDIS', 'MYSQL', 'HTTP_PROXY', 'HBONE', 'DOUBLE_HBONE'] as const
export type Protocol = (typeof PROTOCOLS)[number] | 'UNSUPPORTED'

export function readProtocol(text: string): Protocol {
  const upper = text.toUpperCase()
  return PROTOCOLS.find((one) => one === upper) ?? 'UNSUPPORTED'
}

export const isHttpProtocol = (protocol: Protocol): boolean => ['HTTP', 'HTTP2', 'GRPC', 'GRPC-WEB', 'HTTP_PROXY'].includes(protocol)
export const isTlsProtocol = (protocol: Protocol): boolean => ['HTTPS', 'TLS'].includes(protocol)

/**
 * The protocol that a Service port's name (`http`, `grpc-web-admin`) or appProtocol says; undefined when neither does and it has to be sniffed.
 * istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection
 */
export function protocolOfPort(port: { name?: string | undefined; appProtocol?: string | undefined; protocol?: string | undefined }): Protocol | undefined {
  if (port.protocol === 'UDP') return 'UDP'
  const said = APP_PROTOCOLS[port.appProtocol ?? ''] ?? port.appProtocol
  if (said !== undefined && readProtocol(said) !== 'UNSUPPORTED') return readProtocol(said)
  const name = (port.name ?? '').toUpperCase()
  const found = [...PROTOCOLS].sort((a, b) => b.length - a.length).find((one) => name === one || name.startsWith(`${one}-`))
  return found
}

const APP_PROTOCOLS: Readonly<Record<string, Protocol>> = { 'kubernetes.io/h2c': 'HTTP2', 'kubernetes.io/ws': 'HTTP', 'kubernetes.io/wss': 'HTTPS' }
