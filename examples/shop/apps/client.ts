import { call } from './call.ts'
import { readSettings } from './settings.ts'

/** Orders without end: RATE requests a second (20 unless told), four of five read, one of five buys. */
const settings = readSettings()
const periodMs = 1000 / Number(process.env['RATE'] ?? 20)
let count = 0

const timer = setInterval(() => {
  const buys = ++count % 5 === 0
  call(settings.outbound, buys ? 'POST' : 'GET', 'order-service:8080', '/orders', buys ? { body: '{}' } : {}).catch((error: Error) => process.stderr.write(`order failed: ${error.message}\n`))
}, periodMs)
process.on('SIGTERM', () => {
  clearInterval(timer)
  process.exit(0)
})
