import { callApi, everyItem, organizationPath } from '../client.ts'
import { organizationNamed, serverOf } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { formatTable } from '../table.ts'
import { organizationFlags, outputOf, readArgs, UsageError } from '../usage.ts'

export const usage = `weft mesh list | create NAME [--trust-domain DOMAIN] [--org ORG] [-o table|json]

Meshes of the organization. A new one has a root of its own; its trust domain is cluster.local unless told. Exit 5 when the name is taken.`

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(args, { ...organizationFlags, 'trust-domain': { type: 'string' }, output: { type: 'string', short: 'o' } }, { min: 1, max: 2 })
  const output = outputOf(values.output, ['table', 'json'])
  const context = serverOf(values)
  const organization = organizationNamed(values)
  const path = organizationPath(organization, '/meshes')
  const [verb, name] = positionals
  if (verb === 'list') {
    const items = await everyItem<{ name: string; trustDomain: string; revision: number }>(context, path)
    if (output === 'json') process.stdout.write(`${JSON.stringify(items, undefined, 2)}\n`)
    else process.stdout.write(`${formatTable(['NAME', 'TRUST DOMAIN', 'REVISION'], items.map((mesh) => [mesh.name, mesh.trustDomain, String(mesh.revision)]))}\n`)
  } else if (verb === 'create' && name !== undefined) {
    const mesh = await callApi<{ name: string }>(context, 'POST', path, { name, ...(values['trust-domain'] === undefined ? {} : { trustDomain: values['trust-domain'] }) })
    process.stdout.write(`mesh ${organization}/${mesh.name} created\n`)
  } else throw new UsageError('list, or create NAME')
  return exitCodes.done
}
