import { callApi, meshPath } from '../client.ts'
import { storeContext } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { readArgs, serverFlags, UsageError } from '../usage.ts'

export const usage = `weft login [--server URL] [--mesh ORG/MESH] [--api-key KEY]

Remembers a server, a mesh and a key for the commands that follow, once the server has accepted them. Without --api-key the key is WEFT_API_KEY, or is read from standard input:
weft login --server https://weft.example.com --mesh demo/shop < key. Without --mesh it is the only one that the key may see.`

export async function run(args: string[]): Promise<ExitCode> {
  const { values } = readArgs(args, serverFlags, { min: 0, max: 0 })
  const server = (values.server ?? process.env['WEFT_SERVER'])?.replace(/\/$/, '')
  if (server === undefined) throw new UsageError('--server says where to log in')
  const apiKey = values['api-key'] ?? process.env['WEFT_API_KEY'] ?? (await keyFromInput())
  const named = values.mesh ?? process.env['WEFT_MESH'] ?? (await onlyMesh(server, apiKey))
  const [organization = '', mesh = '', ...rest] = named.split('/')
  if (organization === '' || mesh === '' || rest.length > 0) throw new UsageError(`--mesh: ${JSON.stringify(named)} is not ORG/MESH`)
  const context = { server, apiKey, organization, mesh }
  await callApi(context, 'GET', meshPath(context, ''))
  storeContext(context)
  process.stderr.write(`logged in to ${organization}/${mesh} at ${server}\n`)
  return exitCodes.done
}

async function keyFromInput(): Promise<string> {
  if (process.stdin.isTTY) process.stderr.write('API key: ')
  let text = ''
  for await (const chunk of process.stdin) {
    text += String(chunk)
    if (text.includes('\n')) break
  }
  const key = text.split('\n')[0]?.trim() ?? ''
  if (key === '') throw new UsageError('no API key: give --api-key or WEFT_API_KEY, or write it to standard input')
  return key
}

/** @throws UsageError that lists them when there are several, or none */
async function onlyMesh(server: string, apiKey: string): Promise<string> {
  const list = <T>(path: string): Promise<{ items: T[] }> => callApi({ server, apiKey }, 'GET', path)
  const { items: organizations } = await list<{ name: string }>('/api/v1/organizations')
  const meshes = await Promise.all(organizations.map(async ({ name }) => (await list<{ name: string }>(`/api/v1/organizations/${encodeURIComponent(name)}/meshes`)).items.map((mesh) => `${name}/${mesh.name}`)))
  const names = meshes.flat()
  if (names.length !== 1 || names[0] === undefined) throw new UsageError(names.length === 0 ? '--mesh: this key sees no mesh' : `--mesh: one of ${names.join(', ')}`)
  return names[0]
}
