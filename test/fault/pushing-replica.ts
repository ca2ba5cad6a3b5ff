import { systemDoors } from '#core/time/system.ts'
import { MemoryView } from '#api/serve/memory-view.ts'
import { startXds } from '#api/serve/server.ts'
import { pushed } from './pushed.ts'

// A replica that changes its configuration without end, until it is killed. Prints its port, then each step that it has made. The third argument: how many milliseconds a step takes.

const [a = '', b = '', stepMs = ''] = process.argv.slice(2)
const view = new MemoryView(pushed(0, a, b))
const server = await startXds(
  {
    ...systemDoors,
    serve: { authenticate: () => Promise.resolve({ organizationId: 'o', meshId: 'm', identity: undefined, how: 'plaintext-loopback', expiresAtMs: Date.UTC(2100, 0) }), viewFor: () => Promise.resolve(view), connected() {}, disconnected() {} },
  },
  { plaintext: { address: '127.0.0.1', port: 0 } },
)
process.stdout.write(`${server.port}\n`)
let step = 0
setInterval(() => {
  step += 1
  view.set(...pushed(step, a, b))
  process.stdout.write(`${step}\n`)
}, Number(stepMs))
