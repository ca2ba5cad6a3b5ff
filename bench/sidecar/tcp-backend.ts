import net from 'node:net'

/** The server behind the sidecars: sends back what it gets. `tcp-backend.ts PORT`. */
net
  .createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => socket.destroy())
    socket.pipe(socket)
  })
  .listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 })
