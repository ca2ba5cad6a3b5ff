import { callApi, meshPath } from '../client.ts'
import { contextOf } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { durationMs, readArgs, serverFlags, UsageError } from '../usage.ts'

export const usage = `weft token create -n NAMESPACE --service-account NAME [--ttl 1h]

Prints a join token: with it a proxy asks for its first certificate. It is shown once.`

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(
    args,
    { ...serverFlags, namespace: { type: 'string', short: 'n' }, 'service-account': { type: 'string' }, ttl: { type: 'string' } },
    { min: 1, max: 1 },
  )
  if (positionals[0] !== 'create' || !values.namespace || !values['service-account']) throw new UsageError('create -n NAMESPACE --service-account NAME')
  const context = contextOf(values)
  const created = await callApi<{ secret: string }>(context, 'POST', meshPath(context, '/join-tokens'), {
    namespace: values.namespace,
    serviceAccount: values['service-account'],
    ...(values.ttl === undefined ? {} : { ttlSeconds: durationMs(values.ttl, 'ttl') / 1000 }),
  })
  process.stdout.write(`${created.secret}\n`)
  return exitCodes.done
}
