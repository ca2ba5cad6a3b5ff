import { callApi } from '../client.ts'
import { contextOf } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { formatTable } from '../table.ts'
import { outputOf, readArgs, serverFlags, UsageError } from '../usage.ts'

export const usage = `weft key list | create NAME [--role owner|editor|viewer] [--only-mesh MESH] [--expires-at TIME]

A new key is printed once, on standard output; only its hash is kept.`

interface Key {
  readonly id: string
  readonly name: string
  readonly role: string
  readonly mesh: string | null
  readonly expiresAt: string | null
}

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(
    args,
    { ...serverFlags, role: { type: 'string' }, 'only-mesh': { type: 'string' }, 'expires-at': { type: 'string' }, output: { type: 'string', short: 'o' } },
    { min: 1, max: 2 },
  )
  const output = outputOf(values.output, ['table', 'json'])
  const context = contextOf(values)
  const path = `/api/v1/organizations/${encodeURIComponent(context.organization)}/keys`
  const [verb, name] = positionals
  if (verb === 'list') {
    const { items } = await callApi<{ items: Key[] }>(context, 'GET', path)
    if (output === 'json') process.stdout.write(`${JSON.stringify(items, undefined, 2)}\n`)
    else process.stdout.write(`${formatTable(['ID', 'NAME', 'ROLE', 'MESH', 'EXPIRES'], items.map((key) => [key.id, key.name, key.role, key.mesh ?? '*', key.expiresAt ?? 'never']))}\n`)
  } else if (verb === 'create' && name !== undefined) {
    const created = await callApi<{ secret: string }>(context, 'POST', path, {
      name,
      role: values.role ?? 'editor',
      ...(values['only-mesh'] === undefined ? {} : { mesh: values['only-mesh'] }),
      ...(values['expires-at'] === undefined ? {} : { expiresAt: values['expires-at'] }),
    })
    process.stdout.write(`${created.secret}\n`)
  } else throw new UsageError('list, or create NAME')
  return exitCodes.done
}
