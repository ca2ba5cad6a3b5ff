import { ask } from '#api/simulate/ask.ts'
import type { World } from '#api/simulate/world.ts'
import type { ExplainRequest } from '#core/contract/explain.ts'
import type { RequestTest, RequestWords } from '#core/contract/requests-file.ts'
import type { Trail } from '#core/explain/trail.ts'
import type { Tokens } from './tokens.ts'

/** A request with the tokens of the run in it. */
export function filled(request: RequestWords, tokens: Tokens): RequestWords {
  const { url, headers } = request
  const fill = (value: string | string[]): string | string[] => (typeof value === 'string' ? tokens.fill(value) : value.map(tokens.fill))
  return { ...request, url: tokens.fill(url), ...(headers === undefined ? {} : { headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, fill(value)])) }) }
}

/** The host that a request names in a header of its own. */
export const hostHeaderOf = ({ headers }: RequestWords): string | undefined => Object.entries(headers ?? {}).find(([name]) => name.toLowerCase() === 'host')?.[1]?.toString()

/** A test's request, as the router is asked: several lines of a header are one list (RFC 9110 §5.3). */
export function questionOf({ from, request }: RequestTest, tokens: Tokens): ExplainRequest {
  const { method, url, headers, address, port, sni, alpn, tls } = filled(request, tokens)
  return {
    from,
    url,
    ...(method === undefined ? {} : { method }),
    ...(headers === undefined ? {} : { headers: joined(headers) }),
    ...(address === undefined ? {} : { address }),
    ...(port === undefined ? {} : { port }),
    ...(sni === undefined ? {} : { sni }),
    ...(alpn === undefined ? {} : { alpn }),
    ...(tls === undefined ? {} : { tls }),
  }
}

/** What becomes of a test's request, by the router. */
export const asked = (world: World, test: RequestTest, tokens: Tokens): Trail => ask(world, questionOf(test, tokens), undefined, tokens.door)

export const joined = (headers: NonNullable<RequestWords['headers']>): Record<string, string> => Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.toString()]))
