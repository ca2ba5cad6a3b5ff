import { callApi, everyItem, organizationPath } from '../client.ts'
import { organizationNamed, serverOf } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { lineFromInput } from '../line-input.ts'
import { formatTable } from '../table.ts'
import { organizationFlags, outputOf, readArgs, UsageError } from '../usage.ts'

export const usage = `weft member list [-o table|json] | create NAME [--role owner|editor|viewer] [--password] | set NAME [--role ROLE] [--disable | --enable] | delete NAME
            [--org ORG]

People of the organization. A new one is invited: the invitation is printed once, on standard output, and is also taken by whoever enters through the identity
provider with the e-mail address NAME. With --password the password is read from standard input instead. set and delete end the member's sessions.`

interface Member {
  readonly id: string
  readonly name: string
  readonly role: string
  readonly invited: boolean
  readonly disabled: boolean
  readonly linked: boolean
}

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(
    args,
    { ...organizationFlags, role: { type: 'string' }, password: { type: 'boolean' }, disable: { type: 'boolean' }, enable: { type: 'boolean' }, output: { type: 'string', short: 'o' } },
    { min: 1, max: 2 },
  )
  const output = outputOf(values.output, ['table', 'json'])
  const [verb, name] = positionals
  if (verb === undefined || !['list', 'create', 'set', 'delete'].includes(verb) || (verb === 'list') !== (name === undefined)) throw new UsageError('list, or create, set or delete NAME')
  if (values.disable && values.enable) throw new UsageError('--disable or --enable')
  const context = serverOf(values)
  const path = organizationPath(organizationNamed(values), '/members')
  if (verb === 'create') {
    const password = values.password ? await lineFromInput('Password', 'no password on standard input') : undefined
    const made = await callApi<{ invitation: string | null }>(context, 'POST', path, { name, role: values.role ?? 'editor', ...(password === undefined ? {} : { password }) })
    if (made.invitation !== null) process.stdout.write(`${made.invitation}\n`)
    return exitCodes.done
  }
  const members = await everyItem<Member>(context, path)
  if (verb === 'list') {
    const state = (one: Member): string => (one.disabled ? 'disabled' : one.invited ? 'invited' : one.linked ? 'identity provider' : 'password')
    if (output === 'json') process.stdout.write(`${JSON.stringify(members, undefined, 2)}\n`)
    else process.stdout.write(`${formatTable(['NAME', 'ROLE', 'ENTERS BY'], members.map((one) => [one.name, one.role, state(one)]))}\n`)
    return exitCodes.done
  }
  const found = members.find((one) => one.name === name)
  if (found === undefined) {
    process.stderr.write(`weft member: there is no member ${JSON.stringify(name)}\n`)
    return exitCodes.notFound
  }
  const place = `${path}/${encodeURIComponent(found.id)}`
  if (verb === 'delete') await callApi(context, 'DELETE', place)
  else await callApi(context, 'PATCH', place, { ...(values.role === undefined ? {} : { role: values.role }), ...(values.disable ? { disabled: true } : values.enable ? { disabled: false } : {}) })
  return exitCodes.done
}
