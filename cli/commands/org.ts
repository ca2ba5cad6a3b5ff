import { callApi, everyItem, organizationPath } from '../client.ts'
import { organizationNamed, serverOf } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { lineFromInput } from '../line-input.ts'
import { formatTable } from '../table.ts'
import { organizationFlags, outputOf, readArgs, UsageError } from '../usage.ts'

export const usage = `weft org list [-o table|json] | create NAME
weft org audit [--actor NAME] [--refused] [--limit N] [--org ORG] [-o table|json]
weft org oidc [show | set --issuer URL --client-id ID [--secret] [--roles-claim CLAIM --role VALUE=ROLE …] | remove] [--org ORG]

create needs the bootstrap key, and prints the key of the organization's first owner, once. audit: who did what, from where, and what was refused, the newest first.
oidc: the identity provider through which members enter; --secret reads the client's secret from standard input. Without --roles-claim members are invited by their
e-mail addresses (weft member create).`

interface Entry {
  readonly at: string
  readonly actor: string
  readonly source: string
  readonly method: string
  readonly path: string
  readonly status: number
}

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(
    args,
    {
      ...organizationFlags,
      actor: { type: 'string' },
      refused: { type: 'boolean' },
      limit: { type: 'string' },
      issuer: { type: 'string' },
      'client-id': { type: 'string' },
      secret: { type: 'boolean' },
      'roles-claim': { type: 'string' },
      role: { type: 'string', multiple: true },
      output: { type: 'string', short: 'o' },
    },
    { min: 1, max: 2 },
  )
  const output = outputOf(values.output, ['table', 'json'])
  const [verb, word] = positionals
  const print = (value: unknown, table: () => string): void => void process.stdout.write(`${output === 'json' ? JSON.stringify(value, undefined, 2) : table()}\n`)
  const context = serverOf(values)
  if (verb === 'list' && word === undefined) {
    const items = await everyItem<{ name: string; createdAt: string }>(context, '/api/v1/organizations')
    print(items, () => formatTable(['NAME', 'CREATED'], items.map((one) => [one.name, one.createdAt])))
  } else if (verb === 'create' && word !== undefined) {
    await callApi(context, 'POST', '/api/v1/organizations', { name: word })
    const { secret } = await callApi<{ secret: string }>(context, 'POST', organizationPath(word, '/keys'), { name: 'first owner', role: 'owner' })
    process.stdout.write(`${secret}\n`)
  } else if (verb === 'audit' && word === undefined) {
    const query = new URLSearchParams({ limit: values.limit ?? '50', ...(values.actor === undefined ? {} : { actor: values.actor }), ...(values.refused ? { refused: 'true' } : {}) })
    const { items } = await callApi<{ items: Entry[] }>(context, 'GET', organizationPath(organizationNamed(values), `/audit?${query.toString()}`))
    print(items, () => formatTable(['AT', 'WHO', 'FROM', 'STATUS', 'WHAT'], items.map((one) => [one.at, one.actor, one.source, String(one.status), `${one.method} ${one.path}`])))
  } else if (verb === 'oidc') {
    const path = organizationPath(organizationNamed(values), '/oidc')
    if (word === 'remove') await callApi(context, 'DELETE', path)
    else {
      const shown = word === undefined || word === 'show' ? await callApi<object>(context, 'GET', path) : await callApi<object>(context, 'PUT', path, await providerOf(word, values))
      print(shown, () => Object.entries(shown).map(([name, value]) => `${name}: ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`).join('\n'))
    }
  } else throw new UsageError('list, create NAME, audit, or oidc')
  return exitCodes.done
}

interface ProviderFlags {
  readonly issuer?: string | undefined
  readonly 'client-id'?: string | undefined
  readonly secret?: boolean | undefined
  readonly 'roles-claim'?: string | undefined
  readonly role?: readonly string[] | undefined
}

async function providerOf(word: string, flags: ProviderFlags): Promise<object> {
  if (word !== 'set' || flags.issuer === undefined || flags['client-id'] === undefined) throw new UsageError('oidc set --issuer URL --client-id ID, oidc show, or oidc remove')
  const roles = Object.fromEntries(
    (flags.role ?? []).map((pair) => {
      const at = pair.lastIndexOf('=')
      if (at < 1) throw new UsageError(`--role: ${JSON.stringify(pair)} is not VALUE=ROLE`)
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
  return {
    issuer: flags.issuer,
    clientId: flags['client-id'],
    ...(flags.secret ? { clientSecret: await lineFromInput('Client secret', 'no secret on standard input') } : {}),
    ...(flags['roles-claim'] === undefined ? {} : { rolesClaim: flags['roles-claim'], roles }),
  }
}
