import net from 'node:net'

/** Sends 64 KiB on each of N connections, and again whenever they are all back. `tcp-load.ts PORT SECONDS CONNECTIONS`; prints `n done, m failed`. */

const [port = 0, seconds = 0, connections = 0] = process.argv.slice(2).map(Number)
const message = Buffer.alloc(65_536, 120)
let done = 0
let failed = 0
for (let nth = 0; nth < connections; nth++) {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
  let missing = message.length
  socket.on('data', (bytes) => {
    missing -= bytes.length
    if (missing > 0) return
    done += 1
    missing = message.length
    socket.write(message)
  })
  socket.on('error', () => undefined)
  socket.on('close', () => (failed += 1))
  socket.write(message)
}
setTimeout(() => {
  process.stdout.write(`${done} done, ${failed} failed\n`, () => process.exit(0))
}, seconds * 1000)
