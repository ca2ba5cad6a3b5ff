import { parseArgs } from 'node:util'
import { soak } from './soak/soak.ts'

/** `npm run soak -- [--seconds 3600] [--rate 300]`: see bench/soak/soak.ts. Ends with 1 when a response was lost, a request is stuck, or memory grows. */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: { seconds: { type: 'string', default: '3600' }, rate: { type: 'string', default: '300' } } })
  const result = await soak(Number(values.seconds), Number(values.rate), (line) => process.stdout.write(`${line}\n`))
  process.stdout.write(`${JSON.stringify({ ...result, wrong: result.wrong.slice(0, 20) }, null, 2)}\n`)
  if (result.wrong.length > 0 || result.left.active > 0 || result.left.endpointsBusy > 0 || result.rssBytesPerMinute > 1e6) process.exitCode = 1
}
