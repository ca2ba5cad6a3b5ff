import type { Fault } from '#core/fault/fault.ts'
import { describeFault } from '#core/fault/fault.ts'
import type { Context } from './context.ts'
import { exitCodes, type ExitCode } from './exit-codes.ts'

/** RFC 9457, as Weft's REST API answers it. */
export interface Problem {
  readonly title?: string
  readonly status: number
  readonly detail?: string
  readonly errors?: readonly Fault[]
}

const exitCodeByStatus: Record<number, ExitCode> = {
  401: exitCodes.notAuthorised,
  403: exitCodes.notAuthorised,
  404: exitCodes.notFound,
  409: exitCodes.conflict,
  504: exitCodes.timedOut,
}

/** The server refused; `words` are for people, `exitCode` for scripts. */
export class ApiError extends Error {
  readonly problem: Problem

  constructor(problem: Problem) {
    super(problem.detail ?? problem.title ?? `status ${problem.status}`)
    this.name = 'ApiError'
    this.problem = problem
  }

  get exitCode(): ExitCode {
    return exitCodeByStatus[this.problem.status] ?? exitCodes.failed
  }

  words(): string {
    const faults = this.problem.errors ?? []
    const only = faults.length === 1 ? faults[0] : undefined
    // One finding is its own summary; where it stands is known to the finding alone.
    if (only !== undefined && describeFault(only) === this.message) return `error: ${placeOf(only)}${this.message}`
    return [`error: ${this.message}`, ...faults.map((fault) => `  ${placeOf(fault)}${describeFault(fault)}`)].join('\n')
  }
}

/** File and line, or the object where no file is known, as the beginning of a line. */
function placeOf(fault: Fault): string {
  if (fault.source) return `${fault.source.file}:${fault.source.line}: `
  return fault.resource ? `${fault.resource}: ` : ''
}

/** A server answered something that is not ours to read, or none answered. */
async function problemOf(response: Response): Promise<Problem> {
  const text = await response.text()
  try {
    const body = JSON.parse(text) as Problem & { readonly message?: string }
    // The Kubernetes-style API answers a Status, whose words stand in `message`.
    return { ...body, ...(body.detail === undefined && body.message !== undefined ? { detail: body.message } : {}), status: response.status }
  } catch {
    return { status: response.status, title: response.statusText, detail: text.slice(0, 500) }
  }
}

export const callApi = async <T>(context: Pick<Context, 'server' | 'apiKey'>, method: string, path: string, body?: unknown): Promise<T> => valueOf(await askApi(context, method, path, body))

/** The answer itself, for what is no JSON. @throws ApiError for one that is none of 200..299; Error when nobody answers */
export const askApi = (context: Pick<Context, 'server' | 'apiKey'>, method: string, path: string, body?: unknown): Promise<Response> => ask(context.server, context.apiKey, method, path, body)

/** A POST that asks for no key: the ways in. */
export const callOpenly = async <T>(server: string, path: string, body: unknown): Promise<T> => valueOf(await ask(server, undefined, 'POST', path, body))

async function ask(server: string, apiKey: string | undefined, method: string, path: string, body?: unknown): Promise<Response> {
  const response = await fetch(`${server}${path}`, {
    method,
    headers: { ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }), accept: 'application/json', ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  }).catch((error: unknown) => {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error)
    throw new Error(`${server} does not answer: ${cause}`, { cause: error })
  })
  if (!response.ok) throw new ApiError(await problemOf(response))
  return response
}

async function valueOf<T>(response: Response): Promise<T> {
  const text = await response.text()
  const json = response.headers.get('content-type')?.includes('json') ?? false
  return (json ? JSON.parse(text) : text) as T
}

/** Paths within the context's mesh. */
export const meshPath = (context: Context, rest: string): string =>
  `/api/v1/organizations/${encodeURIComponent(context.organization)}/meshes/${encodeURIComponent(context.mesh)}${rest}`

/** Every item of a list that comes in pages. */
export async function everyItem<T>(context: Pick<Context, 'server' | 'apiKey'>, path: string): Promise<T[]> {
  const items: T[] = []
  let cursor: string | null = null
  do {
    const next: string = cursor === null ? path : `${path}${path.includes('?') ? '&' : '?'}cursor=${encodeURIComponent(cursor)}`
    const page: { items: T[]; next: string | null } = await callApi(context, 'GET', next)
    items.push(...page.items)
    cursor = page.next
  } while (cursor !== null)
  return items
}

export const organizationPath = (organization: string, rest: string): string => `/api/v1/organizations/${encodeURIComponent(organization)}${rest}`
