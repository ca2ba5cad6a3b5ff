import http from 'node:http'

/** One keep-alive agent for the whole process, as any real client has. */
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 })

export interface Answer {
  readonly status: number
  readonly body: string
  readonly version: string
}

/** Trace headers that an application hands on, so that one request's spans hang together. */
export const traceHeaders = ['traceparent', 'tracestate', 'x-request-id', 'b3', 'x-b3-traceid', 'x-b3-spanid', 'x-b3-sampled', 'x-b3-parentspanid']

/** Calls a service by its name, through the sidecar's outbound port; the Host header says who is meant. */
export function call(outbound: URL, method: string, service: string, path: string, options: { body?: string; headers?: Record<string, string>; timeoutMs?: number } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request(
      {
        host: outbound.hostname,
        port: outbound.port,
        method,
        path,
        agent,
        headers: { host: service, ...(options.body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(options.body) }), ...options.headers },
        timeout: options.timeoutMs ?? 15_000,
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString(), version: String(response.headers['x-version'] ?? '') }))
      },
    )
    request.on('timeout', () => request.destroy(new Error('no answer in time')))
    request.on('error', reject)
    request.end(options.body)
  })
}
