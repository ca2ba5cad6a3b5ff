/** What went wrong with a request, from an RFC 9457 problem document where the server sent one. */
export interface Problem {
  /** HTTP status, 0 when no answer came. */
  readonly status: number
  readonly title: string
  readonly detail: string | undefined
}

export class RestProblem extends Error {
  readonly problem: Problem

  constructor(problem: Problem) {
    super(problem.detail === undefined ? problem.title : `${problem.title}: ${problem.detail}`)
    this.name = 'RestProblem'
    this.problem = problem
  }
}

/** `/api/v1/organizations/ORG/meshes/MESH` */
export function meshPath(mesh: string): string {
  const [organization = '', name = ''] = mesh.split('/')
  return `/api/v1/organizations/${encodeURIComponent(organization)}/meshes/${encodeURIComponent(name)}`
}

/** GET of a JSON document under the caller's key. @throws RestProblem */
export async function getJson(origin: string, path: string, key: string, signal?: AbortSignal): Promise<unknown> {
  const response = await reach(() => fetch(new URL(path, origin), { headers: { authorization: `Bearer ${key}`, accept: 'application/json' }, signal: signal ?? null }))
  if (!response.ok) throw new RestProblem(await readProblem(response))
  return response.json()
}

/** Every item of a cursor-paged collection, at most `itemsMax`. @throws RestProblem */
export async function getItems<T>(origin: string, path: string, key: string, itemsMax: number, signal?: AbortSignal): Promise<{ items: T[]; more: boolean }> {
  const items: T[] = []
  let cursor: string | undefined
  do {
    const separator = path.includes('?') ? '&' : '?'
    const page = await getJson(origin, cursor === undefined ? path : `${path}${separator}cursor=${encodeURIComponent(cursor)}`, key, signal)
    const { items: read, next } = readPage<T>(page)
    items.push(...read)
    cursor = next
  } while (cursor !== undefined && items.length < itemsMax)
  return { items: items.slice(0, itemsMax), more: cursor !== undefined || items.length > itemsMax }
}

function readPage<T>(page: unknown): { items: T[]; next: string | undefined } {
  if (typeof page !== 'object' || page === null || !('items' in page) || !Array.isArray(page.items)) throw new RestProblem({ status: 0, title: 'The server answered with something that is no list', detail: undefined })
  const next = 'next' in page && typeof page.next === 'string' && page.next !== '' ? page.next : undefined
  return { items: page.items, next }
}

/** @throws RestProblem of status 0 when no answer comes; an abort passes through as it is */
export async function reach(request: () => Promise<Response>): Promise<Response> {
  try {
    return await request()
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause
    throw new RestProblem({ status: 0, title: 'The control plane does not answer', detail: cause instanceof Error ? cause.message : undefined })
  }
}

export async function readProblem(response: Response): Promise<Problem> {
  const fallback: Problem = { status: response.status, title: titles[response.status] ?? `The server answered ${response.status}`, detail: undefined }
  if (!/json/.test(response.headers.get('content-type') ?? '')) return fallback
  try {
    const body: unknown = await response.json()
    if (typeof body !== 'object' || body === null) return fallback
    const title = 'title' in body && typeof body.title === 'string' ? body.title : fallback.title
    const detail = 'detail' in body && typeof body.detail === 'string' ? body.detail : undefined
    return { status: response.status, title, detail }
  } catch {
    // The body was cut off or no JSON after all: the status alone has to do.
    return fallback
  }
}

const titles: Readonly<Record<number, string>> = {
  401: 'This key is not accepted',
  403: 'This key may not see this',
  404: 'There is no such mesh, or this key may not see it',
}
