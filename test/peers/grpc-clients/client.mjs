// A line with a number makes so many calls; their outcomes go to stdout as a line of JSON.
import { createInterface } from 'node:readline'
import * as grpc from '@grpc/grpc-js'
import * as xds from '@grpc/grpc-js-xds'

xds.register()
const secure = process.argv[3] === 'tls'
const credentials = secure ? new xds.XdsChannelCredentials(grpc.credentials.createInsecure()) : grpc.credentials.createInsecure()
const client = new grpc.Client(`xds:///${process.argv[2]}`, credentials)
// A40: what it holds, for whoever asks.
if (process.env.CSDS) {
  const server = new grpc.Server()
  grpc.addAdminServicesToServer(server)
  server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => process.stderr.write(error ? `${error}\n` : `csds 127.0.0.1:${port}\n`))
}
const call = () =>
  new Promise((resolve) =>
    client.makeUnaryRequest(`/test.Echo/${process.argv[4] ?? 'Who'}`, (b) => b, (b) => b, Buffer.alloc(0), new grpc.Metadata(), { deadline: Date.now() + 5000 }, (error, answer) => {
      if (error) process.stderr.write(`${error.message}\n`)
      resolve(error ? grpc.status[error.code] : answer.toString())
    }),
  )
for await (const line of createInterface({ input: process.stdin })) {
  const outcomes = {}
  for (let left = Number(line); left > 0; left -= 1) {
    const outcome = await call()
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
  }
  process.stdout.write(`${JSON.stringify(outcomes)}\n`)
}
process.exit(0)
