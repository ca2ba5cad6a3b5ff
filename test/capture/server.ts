/** A server for the capture test: `UID ADDRESS:PORT…`; says who called, on every address. */
import http from 'node:http'

const [uid = '0', ...bindings] = process.argv.slice(2)
const servers = bindings.map((at) => {
  const colon = at.lastIndexOf(':')
  const server = http.createServer((request, response) => response.end(`${at} called by ${request.socket.remoteAddress ?? ''} for ${request.headers.host ?? ''}`))
  return new Promise<void>((resolve) => server.listen(Number(at.slice(colon + 1)), at.slice(0, colon), resolve))
})
await Promise.all(servers)
process.setuid?.(Number(uid))
process.stdout.write('listening\n')
