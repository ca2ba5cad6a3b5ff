import { callApi, everyItem, meshPath } from '../client.ts'
import { contextOf } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { formatTable } from '../table.ts'
import { durationMs, outputOf, readArgs, serverFlags, UsageError } from '../usage.ts'

export const usage = `weft token create -n NAMESPACE --service-account NAME [--ttl 1h] | list [-o table|json] | delete ID…

A join token: with it a proxy asks for its first certificate. A new one is printed once, on standard output. With one that is deleted end the streams
that were opened with it; proxies that have a certificate by now stay.`

interface Token {
  readonly id: string
  readonly namespace: string
  readonly serviceAccount: string
  readonly expiresAt: string
}

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(
    args,
    { ...serverFlags, namespace: { type: 'string', short: 'n' }, 'service-account': { type: 'string' }, ttl: { type: 'string' }, output: { type: 'string', short: 'o' } },
    { min: 1, max: 100 },
  )
  const output = outputOf(values.output, ['table', 'json'])
  const [verb, ...ids] = positionals
  if (verb === 'create' && ids.length === 0) {
    if (!values.namespace || !values['service-account']) throw new UsageError('create -n NAMESPACE --service-account NAME')
    const context = contextOf(values)
    const created = await callApi<{ secret: string }>(context, 'POST', meshPath(context, '/join-tokens'), {
      namespace: values.namespace,
      serviceAccount: values['service-account'],
      ...(values.ttl === undefined ? {} : { ttlSeconds: durationMs(values.ttl, 'ttl') / 1000 }),
    })
    process.stdout.write(`${created.secret}\n`)
  } else if (verb === 'list' && ids.length === 0) {
    const context = contextOf(values)
    const items = await everyItem<Token>(context, meshPath(context, '/join-tokens'))
    if (output === 'json') process.stdout.write(`${JSON.stringify(items, undefined, 2)}\n`)
    else process.stdout.write(`${formatTable(['ID', 'NAMESPACE', 'SERVICE ACCOUNT', 'EXPIRES'], items.map((one) => [one.id, one.namespace, one.serviceAccount, one.expiresAt]))}\n`)
  } else if (verb === 'delete' && ids.length > 0) {
    const context = contextOf(values)
    for (const id of ids) await callApi(context, 'DELETE', meshPath(context, `/join-tokens/${encodeURIComponent(id)}`))
  } else throw new UsageError('create, list, or delete ID')
  return exitCodes.done
}
