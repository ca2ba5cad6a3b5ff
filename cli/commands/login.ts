import { signInByBrowser } from '../browser-sign-in.ts'
import { callApi, callOpenly, everyItem, meshPath, organizationPath } from '../client.ts'
import { organizationNamed, storeContext } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { lineFromInput } from '../line-input.ts'
import { organizationFlags, readArgs, UsageError } from '../usage.ts'

export const usage = `weft login [--server URL] [--mesh ORG/MESH] [--api-key KEY]
weft login [--server URL] --org ORG --oidc [--no-browser]
weft login [--server URL] --org ORG --name NAME < password

Remembers a server, a mesh and a key for the commands that follow, once the server has accepted them. Without --api-key the key is WEFT_API_KEY, or is read from standard input:
weft login --server https://weft.example.com --mesh demo/shop < key. Without --mesh it is the only one that the key may see.

--oidc signs in through the organization's identity provider, in a browser on this machine; its page is also printed. --name signs in with a password.`

export async function run(args: string[]): Promise<ExitCode> {
  const { values } = readArgs(args, { ...organizationFlags, oidc: { type: 'boolean' }, 'no-browser': { type: 'boolean' }, name: { type: 'string' } }, { min: 0, max: 0 })
  const server = (values.server ?? process.env['WEFT_SERVER'])?.replace(/\/$/, '')
  if (server === undefined) throw new UsageError('--server says where to log in')
  if (values.oidc && values.name !== undefined) throw new UsageError('--oidc or --name')
  const apiKey = values.oidc || values.name !== undefined ? await sessionOf(server, organizationNamed(values), values) : (values['api-key'] ?? process.env['WEFT_API_KEY'] ?? (await lineFromInput('API key', 'no API key: give --api-key or WEFT_API_KEY, or write it to standard input')))
  const named = values.mesh ?? process.env['WEFT_MESH'] ?? (await onlyMesh(server, apiKey))
  const [organization = '', mesh = '', ...rest] = named.split('/')
  if (organization === '' || mesh === '' || rest.length > 0) throw new UsageError(`--mesh: ${JSON.stringify(named)} is not ORG/MESH`)
  const context = { server, apiKey, organization, mesh }
  await callApi(context, 'GET', meshPath(context, ''))
  storeContext(context)
  process.stderr.write(`logged in to ${organization}/${mesh} at ${server}\n`)
  return exitCodes.done
}

/** The key of a session that a person opens. */
async function sessionOf(server: string, organization: string, flags: { readonly name?: string | undefined; readonly 'no-browser'?: boolean | undefined }): Promise<string> {
  if (flags.name === undefined) return signInByBrowser(server, organization, { open: !flags['no-browser'], tell: (line) => void process.stderr.write(`${line}\n`) })
  const password = await lineFromInput('Password', 'no password on standard input')
  return (await callOpenly<{ secret: string }>(server, organizationPath(organization, '/login'), { name: flags.name, password })).secret
}

/** @throws UsageError that lists them when there are several, or none */
async function onlyMesh(server: string, apiKey: string): Promise<string> {
  const list = (path: string): Promise<{ name: string }[]> => everyItem({ server, apiKey }, path)
  const organizations = await list('/api/v1/organizations')
  const meshes = await Promise.all(organizations.map(async ({ name }) => (await list(organizationPath(name, '/meshes'))).map((mesh) => `${name}/${mesh.name}`)))
  const names = meshes.flat()
  if (names.length !== 1 || names[0] === undefined) throw new UsageError(names.length === 0 ? '--mesh: this key sees no mesh' : `--mesh: one of ${names.join(', ')}`)
  return names[0]
}
