import { callApi, everyItem, organizationPath } from '../client.ts'
import { organizationNamed, serverOf } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { formatTable } from '../table.ts'
import { organizationFlags, outputOf, readArgs, UsageError } from '../usage.ts'

export const usage = `weft key list | create NAME [--role owner|editor|viewer] [--only-mesh MESH] [--only-namespace NAMESPACE …] [--expires-at TIME] | delete ID… [--org ORG]

A new key is printed once, on standard output; only its hash is kept. With a key that is deleted end the streams that were opened with it.`

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
    { ...organizationFlags, role: { type: 'string' }, 'only-mesh': { type: 'string' }, 'only-namespace': { type: 'string', multiple: true }, 'expires-at': { type: 'string' }, output: { type: 'string', short: 'o' } },
    { min: 1, max: 100 },
  )
  const output = outputOf(values.output, ['table', 'json'])
  const context = serverOf(values)
  const path = organizationPath(organizationNamed(values), '/keys')
  const [verb, name, ...more] = positionals
  if (verb === 'list') {
    const items = await everyItem<Key>(context, path)
    if (output === 'json') process.stdout.write(`${JSON.stringify(items, undefined, 2)}\n`)
    else process.stdout.write(`${formatTable(['ID', 'NAME', 'ROLE', 'MESH', 'EXPIRES'], items.map((key) => [key.id, key.name, key.role, key.mesh ?? '*', key.expiresAt ?? 'never']))}\n`)
  } else if (verb === 'delete' && name !== undefined) {
    for (const id of [name, ...more]) await callApi(context, 'DELETE', `${path}/${encodeURIComponent(id)}`)
  } else if (verb === 'create' && name !== undefined && more.length === 0) {
    const created = await callApi<{ secret: string }>(context, 'POST', path, {
      name,
      role: values.role ?? 'editor',
      ...(values['only-mesh'] === undefined ? {} : { mesh: values['only-mesh'] }),
      ...(values['only-namespace'] === undefined ? {} : { namespaces: values['only-namespace'] }),
      ...(values['expires-at'] === undefined ? {} : { expiresAt: values['expires-at'] }),
    })
    process.stdout.write(`${created.secret}\n`)
  } else throw new UsageError('list, create NAME, or delete ID')
  return exitCodes.done
}
