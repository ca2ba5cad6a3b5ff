import { secretText } from '#api/model/acme.ts'
import type { SecretFields } from '#core/resource/secret.ts'
import { ModuleProblem } from './problem.ts'

export interface Credentials {
  readonly username: string
  readonly password: string
}

const CONFIG = '.dockerconfigjson'

/**
 * What a pull secret holds for a registry (kubernetes.io/dockerconfigjson): username and password, or both in base64 as `auth`; undefined: nothing, and it is asked without.
 * @throws ModuleProblem, which repeats none of it
 */
export function credentialsFor(secret: SecretFields | undefined, name: string, registry: string): Credentials | undefined {
  if (secret === undefined) throw new ModuleProblem(`there is no Secret ${name} in its namespace`)
  const text = secretText(secret, CONFIG)
  if (text === undefined) throw new ModuleProblem(`Secret ${name} has no ${CONFIG}`)
  let auths: unknown
  try {
    auths = (JSON.parse(text) as { readonly auths?: unknown }).auths
  } catch {
    throw new ModuleProblem(`${CONFIG} of Secret ${name} is no JSON`)
  }
  if (typeof auths !== 'object' || auths === null) throw new ModuleProblem(`${CONFIG} of Secret ${name} has no auths`)
  const entries = Object.entries(auths)
  const found = (entries.find(([key]) => key === registry) ?? entries.find(([key]) => hostOf(key) === registry))?.[1] as unknown
  if (typeof found !== 'object' || found === null) return undefined
  const { username, password, auth } = found as Readonly<Record<string, unknown>>
  if (typeof username === 'string' && typeof password === 'string') return { username, password }
  if (typeof auth !== 'string') throw new ModuleProblem(`Secret ${name} has neither username and password nor auth for ${registry}`)
  const pair = Buffer.from(auth, 'base64').toString('utf8')
  const colon = pair.indexOf(':')
  if (colon === -1) throw new ModuleProblem(`auth of Secret ${name} for ${registry} is no name and password in base64`)
  return { username: pair.slice(0, colon), password: pair.slice(colon + 1).replace(/\0+$/, '') }
}

/** Keys are hosts, or URLs as `docker login` wrote them: `https://index.docker.io/v1/`. */
function hostOf(key: string): string {
  const host = key.replace(/^https?:\/\//i, '').replace(/\/.*$/, '')
  return host === 'docker.io' ? 'index.docker.io' : host
}
