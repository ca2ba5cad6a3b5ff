import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'
import { UsageError } from './usage.ts'

/** Which server, mesh and key a command speaks to. */
export interface Context {
  readonly server: string
  readonly apiKey: string
  readonly organization: string
  readonly mesh: string
}

export interface ContextFlags {
  readonly server?: string | undefined
  readonly 'api-key'?: string | undefined
  readonly mesh?: string | undefined
}

const contextFile = (): string => path.join(process.env['XDG_CONFIG_HOME'] ?? path.join(homedir(), '.config'), 'weft', 'context.json')

function storedContext(): Partial<Context> {
  try {
    return JSON.parse(readFileSync(contextFile(), 'utf8')) as Partial<Context>
  } catch {
    // None stored yet, or not readable: flags and variables then have to say everything.
    return {}
  }
}

/** Remembers where `weft up` or a login left off. The file holds a key: only its owner may read it. */
export function storeContext(context: Context): void {
  const file = contextFile()
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 })
  writeFileSync(file, `${JSON.stringify(context, undefined, 2)}\n`, { mode: 0o600 })
}

export interface OrganizationFlags extends ContextFlags {
  readonly org?: string | undefined
}

/** Which server and key a command speaks to that needs no mesh. @throws UsageError */
export function serverOf(flags: ContextFlags): Pick<Context, 'server' | 'apiKey'> {
  const stored = storedContext()
  const server = flags.server ?? process.env['WEFT_SERVER'] ?? stored.server
  const apiKey = flags['api-key'] ?? process.env['WEFT_API_KEY'] ?? stored.apiKey
  if (server === undefined) throw new UsageError('no server: give --server or WEFT_SERVER, or run weft up first')
  if (apiKey === undefined) throw new UsageError('no API key: give --api-key or WEFT_API_KEY')
  return { server: server.replace(/\/$/, ''), apiKey }
}

/** The organization that is meant: by --org, else that of the mesh. @throws UsageError */
export function organizationNamed(flags: OrganizationFlags): string {
  const stored = storedContext()
  const found = flags.org ?? (flags.mesh ?? process.env['WEFT_MESH'])?.split('/')[0] ?? stored.organization
  if (found === undefined || found === '') throw new UsageError('no organization: give --org ORG or --mesh ORG/MESH')
  return found
}

/** Flags win over variables, variables over the stored context. */
export function contextOf(flags: ContextFlags): Context {
  const stored = storedContext()
  const server = flags.server ?? process.env['WEFT_SERVER'] ?? stored.server
  const apiKey = flags['api-key'] ?? process.env['WEFT_API_KEY'] ?? stored.apiKey
  const mesh = flags.mesh ?? process.env['WEFT_MESH'] ?? (stored.mesh === undefined ? undefined : `${stored.organization}/${stored.mesh}`)
  if (server === undefined) throw new UsageError('no server: give --server or WEFT_SERVER, or run weft up first')
  if (apiKey === undefined) throw new UsageError('no API key: give --api-key or WEFT_API_KEY')
  if (mesh === undefined) throw new UsageError('no mesh: give --mesh ORG/MESH or WEFT_MESH')
  const [organization, name, ...rest] = mesh.split('/')
  if (!organization || !name || rest.length > 0) throw new UsageError(`--mesh: ${JSON.stringify(mesh)} is not ORG/MESH`)
  return { server: server.replace(/\/$/, ''), apiKey, organization, mesh: name }
}
