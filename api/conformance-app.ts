import { Hono } from 'hono'
import { fault, Faults } from '#core/fault/fault.ts'
import { boundedBody } from './kube/request.ts'
import { problemOf } from './rest/problem.ts'
import type { ClusterLoad } from './serve/load-reports.ts'
import type { NodeStates, Stated } from './serve/node-states.ts'
import { MalformedMessage } from './serve/protobuf.ts'
import type { Ledger } from './serve/ledger.ts'
import { conformanceMesh } from './serve/conformance.ts'

/** Where a test stands with a server that it fills by hand. */
export interface ConformanceDoors {
  readonly states: NodeStates
  readonly ledger: Ledger
  /** All reports of load so far, by node. */
  readonly loads: ReadonlyMap<string, readonly ClusterLoad[]>
}

/**
 * The state of a conformance server over HTTP, JSON in and out: `POST /set`, `/add`, `/update`, `/remove`, `/clear`; `GET /proxies`, `/loads`.
 * A content is base64 in `value`; docs/reference/xds-conformance.md has the fields.
 */
export function conformanceApp({ states, ledger, loads }: ConformanceDoors): Hono {
  const app = new Hono()
  const verbs: Readonly<Record<string, (body: Body) => void>> = {
    set: (body) => states.set(body.text('node'), body.text('version'), body.list('resources').map((one) => one.stated())),
    add: (body) => states.put(body.text('node'), body.stated(), body.text('version')),
    update: (body) => states.put(body.text('node'), body.stated(), body.text('version')),
    remove: (body) => states.remove(body.text('node'), body.text('type'), body.text('name'), body.optional('version')),
    clear: (body) => states.clear(body.text('node')),
  }
  app.post('/:verb', async (context) => {
    const verb = verbs[context.req.param('verb')]
    if (verb === undefined) return context.notFound()
    try {
      verb(new Body(await jsonOf(context.req.raw)))
      return context.json({ success: true })
    } catch (error) {
      const problem = problemOf(error instanceof MalformedMessage ? new Faults([fault('request.invalid', { path: '', rule: error.message })]) : error)
      if (problem === undefined) throw error
      return new Response(JSON.stringify(problem), { status: problem.status, headers: { 'content-type': 'application/problem+json' } })
    }
  })
  app.get('/proxies', (context) => context.json({ items: ledger.statuses(conformanceMesh) }))
  app.get('/loads', (context) => context.json(Object.fromEntries([...loads].map(([node, reports]) => [node, reports.map(plainLoad)]))))
  return app
}

/** Maps have no JSON of their own. */
const plainLoad = (load: ClusterLoad): unknown => JSON.parse(JSON.stringify(load, (_key, value: unknown) => (value instanceof Map ? Object.fromEntries(value) : value)))

/** An object of the request, read field by field. */
class Body {
  readonly #fields: Readonly<Record<string, unknown>>

  constructor(json: unknown) {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) throw invalid('', 'an object')
    this.#fields = json as Readonly<Record<string, unknown>>
  }

  text(name: string): string {
    const value = this.#fields[name]
    if (typeof value !== 'string' || value === '') throw invalid(name, 'a string that is not empty')
    return value
  }

  optional(name: string): string | undefined {
    return this.#fields[name] === undefined ? undefined : this.text(name)
  }

  list(name: string): Body[] {
    const value = this.#fields[name] ?? []
    if (!Array.isArray(value)) throw invalid(name, 'a list')
    return value.map((one) => new Body(one))
  }

  /** type, name, version, value (base64), ttlMs, aliases. */
  stated(): Stated {
    const [name, version, value] = [this.optional('name'), this.optional('version'), this.optional('value')]
    const { ttlMs, aliases } = this.#fields
    if (ttlMs !== undefined && typeof ttlMs !== 'number') throw invalid('ttlMs', 'a number')
    if (aliases !== undefined && !(Array.isArray(aliases) && aliases.every((one) => typeof one === 'string'))) throw invalid('aliases', 'strings')
    if (name === undefined && value === undefined) throw invalid('name', 'a name or a value that holds it')
    return {
      type: this.text('type'),
      ...(name === undefined ? {} : { name }),
      ...(version === undefined ? {} : { version }),
      ...(value === undefined ? {} : { bytes: Buffer.from(value, 'base64') }),
      ...(ttlMs === undefined ? {} : { ttlMs }),
      ...(aliases === undefined ? {} : { aliases: aliases as string[] }),
    }
  }
}

const invalid = (path: string, rule: string): Faults => new Faults([fault('request.invalid', { path, rule })])

async function jsonOf(request: Request): Promise<unknown> {
  try {
    return JSON.parse((await boundedBody(request)).toString('utf8'))
  } catch (error) {
    if (error instanceof Faults) throw error
    throw invalid('', 'JSON that can be read')
  }
}
