import http from 'node:http'
import type { AddressInfo } from 'node:net'

/** An application behind the mesh that says its version in each answer. */
export interface Upstream {
  readonly address: string
  readonly requests: () => number
  close(): Promise<void>
}

export async function startUpstream(version: string, delayMs = 0): Promise<Upstream> {
  let requests = 0
  const server = http.createServer((_request, response) => {
    requests += 1
    const answer = (): void => void response.writeHead(200, { 'x-version': version, 'content-type': 'text/plain' }).end(version)
    if (delayMs > 0) setTimeout(answer, delayMs)
    else answer()
  })
  // A connection that the proxy keeps must not be closed under it by an idle timer of ours.
  server.keepAliveTimeout = 0
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: () => requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
