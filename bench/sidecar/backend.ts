import net from 'node:net'

/** The application behind the sidecars: `GET /b/<n>` answers n bytes, from memory, with as little work as can be. `backend.ts PORT`. */

const answers = new Map<number, string>()
function answer(length: number): string {
  let text = answers.get(length)
  if (text === undefined) answers.set(length, (text = `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: ${length}\r\n\r\n${'x'.repeat(length)}`))
  return text
}

net
  .createServer({ noDelay: true }, (socket) => {
    let rest = ''
    socket.on('error', () => socket.destroy())
    socket.on('data', (bytes: Buffer) => {
      rest += bytes.toString('latin1')
      let out = ''
      for (;;) {
        const end = rest.indexOf('\r\n\r\n')
        if (end < 0) break
        const path = rest.indexOf('/b/')
        out += answer(path > 0 && path < end ? Number.parseInt(rest.slice(path + 3, path + 10), 10) || 0 : 128)
        rest = rest.slice(end + 4)
      }
      if (out !== '') socket.write(out, 'latin1')
    })
  })
  .listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 })
