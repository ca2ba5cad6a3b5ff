import http from 'node:http'
import { readSettings } from './settings.ts'

/** Takes payments: `POST /api/pay`. Who may call it is the mesh's business, not its own. */
const settings = readSettings()
let taken = 0

const server = http.createServer((request, response) => {
  request.resume()
  request.on('end', () => {
    const found = request.method === 'POST' && (request.url ?? '').split('?')[0] === '/api/pay'
    if (found) taken++
    response.writeHead(found ? 200 : 404, { 'content-type': 'application/json', 'x-version': settings.version })
    response.end(`${JSON.stringify(found ? { taken } : { error: 'POST /api/pay' })}\n`)
  })
})
server.keepAliveTimeout = 65_000
server.listen(settings.port, settings.address)
process.on('SIGTERM', () => server.close(() => process.exit(0)))
