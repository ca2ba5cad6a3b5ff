import http2 from 'node:http2'

/** The gRPC server behind the sidecars: answers every call with one message of 128 bytes, and its status in trailers. `grpc-backend.ts PORT`. */

const message = Buffer.concat([Buffer.from([0, 0, 0, 0, 128]), Buffer.alloc(128, 120)])
const server = http2.createServer()
server.on('stream', (stream: http2.ServerHttp2Stream) => {
  stream.on('error', () => undefined)
  stream.resume()
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
  stream.end(message)
})
// What looks whether somebody is there speaks HTTP/1.1, and is answered by the sidecar's own refusal of GET.
server.listen(Number(process.argv[2]), '127.0.0.1')
