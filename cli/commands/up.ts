import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { builtParts } from '#infra/build/parts.ts'
import type { ExitCode } from '../exit-codes.ts'
import { Progress } from '../up/progress.ts'
import { readArgs, UsageError } from '../usage.ts'

export const usage = `weft up [--data DIR] [--engine weft|envoy] [--database URL] [--no-shop] [--ready-file FILE] [--port-base N] [--rate N]

Runs the whole system here: a control plane on an embedded database, a gateway, and the example shop, each workload behind a sidecar process of its own.
A second start on the same folder goes on from what is stored. Ctrl-C ends everything.

  --data DIR         where everything is kept: database, keys, logs (.weft unless told); one weft up a folder
  --engine ENGINE    weft: the bundled proxy; envoy: a stock Envoy behind each workload
  --database URL     pglite:DIR or postgres://… instead of the embedded one in the data folder
  --no-shop          control plane and gateway alone
  --ready-file FILE  written when every proxy has its configuration: addresses, ports, key
  --port-base N      the first of the six ports, the others follow it; 0: any free ones
  --rate N           orders a second that the shop's client makes, 20 unless told`

/** Reads the flags, sees to the build, and runs it: `cli/up/run.ts`. */
export async function run(args: string[]): Promise<ExitCode> {
  const beganMs = performance.now()
  const { values } = readArgs(
    args,
    {
      data: { type: 'string' },
      engine: { type: 'string' },
      database: { type: 'string' },
      'no-shop': { type: 'boolean' },
      'ready-file': { type: 'string' },
      'port-base': { type: 'string' },
      rate: { type: 'string' },
    },
    { min: 0, max: 0 },
  )
  const engine = values.engine ?? 'weft'
  if (engine !== 'weft' && engine !== 'envoy') throw new UsageError(`--engine: ${JSON.stringify(engine)} is neither weft nor envoy`)
  const portBase = values['port-base'] === undefined ? undefined : Number(values['port-base'])
  if (portBase !== undefined && !(Number.isInteger(portBase) && portBase >= 0 && portBase < 65_000)) throw new UsageError('--port-base: a port, or 0 for any free ones')
  const rate = Number(values.rate ?? 20)
  if (!(rate >= 0 && rate <= 10_000)) throw new UsageError('--rate: requests a second, 0..10000')
  const dir = path.resolve(values.data ?? '.weft')
  mkdirSync(path.join(dir, 'logs'), { recursive: true, mode: 0o700 })

  const progress = new Progress(process.stderr)
  const parts = await progress.step('building what has changed', () => builtParts(), (built) => built.fresh)
  const { runUp } = (await import(pathToFileURL(parts.up).href)) as typeof import('../up/run.ts')
  return runUp({ dir, engine, database: values.database, shop: !values['no-shop'], readyFile: values['ready-file'], portBase, rate, parts, progress, beganMs })
}
