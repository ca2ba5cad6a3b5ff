import { call } from './call.ts'
import { readSettings } from './settings.ts'

/** Orders without end: RATE requests a second (20 unless told), four of five read, one of five buys. */
const settings = readSettings()
const rate = Number(process.env['RATE'] ?? 20)
let count = 0

const order = (): void => {
  const buys = ++count % 5 === 0
  call(settings.outbound, buys ? 'POST' : 'GET', 'order-service:8080', '/orders', buys ? { body: '{}' } : {}).catch((error: Error) => process.stderr.write(`order failed: ${error.message}\n`))
}
// At rate 0 it waits to be told to end.
const timer = setInterval(rate > 0 ? order : () => {}, rate > 0 ? 1000 / rate : 60_000)
process.on('SIGTERM', () => {
  clearInterval(timer)
  process.exit(0)
})
