import { createHash } from 'node:crypto'
import { fetchOutside, OutboundRefused } from '../access/oidc/outbound.ts'
import type { Outside } from '../access/oidc/outbound.ts'
import { MANIFEST_BYTES_MAX, MANIFEST_TYPES } from './manifest.ts'
import { ModuleProblem } from './problem.ts'
import type { Credentials } from './pull-secret.ts'
import { DIGEST, registryOrigin } from './reference.ts'

const REDIRECTS_MAX = 5
const TOKEN_BYTES_MAX = 256 * 1024

/** How places outside are asked. */
export interface OutsideDoors {
  /** Whoever runs the installation allows private networks, and HTTP. */
  readonly privateNetworks: boolean
  /** Gives up what is under way. */
  readonly signal: AbortSignal
}

const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/**
 * One GET of what may redirect. Each place on the way is judged like the first, and none but the first is shown who asks.
 * @throws ModuleProblem when nobody answers, or nobody may be asked
 */
export async function getOutside(first: URL, headers: Readonly<Record<string, string>>, bytesMax: number, doors: OutsideDoors): Promise<Outside> {
  let url = first
  for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
    const { authorization, ...plain } = headers
    const answer = await ask(url, authorization !== undefined && url.origin === first.origin ? { ...plain, authorization } : plain, bytesMax, doors)
    const { location } = answer.headers
    if (![301, 302, 303, 307, 308].includes(answer.status) || location === undefined) return answer
    const next = URL.parse(location, url)
    if (next === null) throw new ModuleProblem(`${url.host} redirects to what is no URL`)
    if (url.protocol === 'https:' && next.protocol !== 'https:') throw new ModuleProblem(`${url.host} redirects from HTTPS to ${next.protocol.slice(0, 10)}`)
    url = next
  }
  throw new ModuleProblem(`${first.host} redirects more than ${REDIRECTS_MAX} times`)
}

async function ask(url: URL, headers: Readonly<Record<string, string>>, bytesMax: number, { privateNetworks, signal }: OutsideDoors): Promise<Outside> {
  try {
    return await fetchOutside(url, { method: 'GET', headers }, { privateNetworks, bytesMax, signal })
  } catch (error) {
    if (error instanceof OutboundRefused) throw new ModuleProblem(`${url.host}: ${error.message}`, error)
    if (signal.aborted) throw new ModuleProblem(`${url.host} did not answer in time`, error)
    throw new ModuleProblem(`${url.host} cannot be asked: ${error instanceof Error ? error.message : String(error)}`, error)
  }
}

/** One repository of a registry (OCI Distribution Specification 1.1). */
export class Repository {
  readonly #registry: string
  readonly #repository: string
  readonly #credentials: Credentials | undefined
  readonly #doors: OutsideDoors
  #authorization: string | undefined

  constructor(of: { readonly registry: string; readonly repository: string }, credentials: Credentials | undefined, doors: OutsideDoors) {
    this.#registry = of.registry
    this.#repository = of.repository
    this.#credentials = credentials
    this.#doors = doors
  }

  /** A manifest by its tag or digest. @throws ModuleProblem */
  async manifest(reference: string): Promise<{ readonly bytes: Buffer; readonly digest: string; readonly mediaType: string | undefined }> {
    const { body, headers } = await this.#get(`manifests/${reference}`, MANIFEST_TYPES, MANIFEST_BYTES_MAX)
    const digest = sha256(body)
    if (DIGEST.test(reference) && digest !== reference) throw new ModuleProblem(`${this.#registry} answers another manifest than ${reference}`)
    return { bytes: body, digest, mediaType: headers['content-type'] }
  }

  /** A layer. @throws ModuleProblem when it is another, or larger than it was said to be */
  async blob(digest: string, bytes: number): Promise<Buffer> {
    const { body } = await this.#get(`blobs/${digest}`, '*/*', bytes)
    if (sha256(body) !== digest) throw new ModuleProblem(`${this.#registry} answers another layer than ${digest}`)
    return body
  }

  async #get(path: string, accept: string, bytesMax: number): Promise<Outside> {
    const url = new URL(`${registryOrigin(this.#registry)}/v2/${this.#repository}/${path}`)
    const once = (): Promise<Outside> => getOutside(url, { accept, ...(this.#authorization === undefined ? {} : { authorization: this.#authorization }) }, bytesMax, this.#doors)
    let answer = await once()
    if (answer.status === 401) {
      const authorization = await this.#answerTo(answer.headers['www-authenticate'] ?? '')
      if (authorization !== undefined && authorization !== this.#authorization) {
        this.#authorization = authorization
        answer = await once()
      }
    }
    if (answer.status === 200) return answer
    if (answer.status === 401 || answer.status === 403) throw new ModuleProblem(`${this.#registry} answers ${answer.status} to ${this.#credentials === undefined ? 'a request without credentials' : 'the credentials of the pull secret'}`)
    if (answer.status === 404) throw new ModuleProblem(`${this.#registry} has no ${this.#repository}/${path}`)
    throw new ModuleProblem(`${this.#registry} answers ${answer.status}`)
  }

  /** What a challenge is answered with (RFC 9110 §11.6.1; Docker's "Token Authentication Specification"); undefined: nothing that is known. */
  async #answerTo(challenges: string): Promise<string | undefined> {
    const basic = this.#credentials === undefined ? undefined : `Basic ${Buffer.from(`${this.#credentials.username}:${this.#credentials.password}`).toString('base64')}`
    const bearer = parametersOf('bearer', challenges)
    if (bearer === undefined) return parametersOf('basic', challenges) === undefined ? undefined : basic
    const realm = URL.parse(bearer.get('realm') ?? '')
    if (realm === null) throw new ModuleProblem(`${this.#registry} names no place to get a token from`)
    // Where requests go unseen, so must the credentials.
    if (registryOrigin(this.#registry).startsWith('https:') && realm.protocol !== 'https:') throw new ModuleProblem(`${this.#registry} has tokens given over ${realm.protocol.slice(0, 10)}`)
    const service = bearer.get('service')
    if (service !== undefined) realm.searchParams.set('service', service)
    realm.searchParams.set('scope', `repository:${this.#repository}:pull`)
    const { status, body } = await getOutside(realm, { accept: 'application/json', ...(basic === undefined ? {} : { authorization: basic }) }, TOKEN_BYTES_MAX, this.#doors)
    if (status !== 200) throw new ModuleProblem(`${realm.host} answers ${status} to ${basic === undefined ? 'a request without credentials' : 'the credentials of the pull secret'}`)
    return `Bearer ${tokenIn(body) ?? fail(`${realm.host} gives no token`)}`
  }
}

function tokenIn(body: Buffer): string | undefined {
  try {
    const { token, access_token: accessToken } = JSON.parse(body.toString('utf8')) as Readonly<Record<string, unknown>>
    return [token, accessToken].find((one): one is string => typeof one === 'string' && /^[\x21-\x7e]{1,65536}$/.test(one))
  } catch {
    return undefined
  }
}

function fail(why: string): never {
  throw new ModuleProblem(why)
}

/** The parameters of a scheme's challenge; undefined: there is none. */
function parametersOf(scheme: string, challenges: string): ReadonlyMap<string, string> | undefined {
  const begin = new RegExp(`(?:^|,)\\s*${scheme}(?=\\s|,|$)`, 'i').exec(challenges)
  if (begin === null) return undefined
  const found = new Map<string, string>()
  const parameter = /\s*,?\s*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/y
  parameter.lastIndex = begin.index + begin[0].length
  for (let one = parameter.exec(challenges); one !== null; one = parameter.exec(challenges)) found.set((one[1] ?? '').toLowerCase(), one[2]?.replace(/\\(.)/g, '$1') ?? one[3] ?? '')
  return found
}
