/**
 * Which calls a proxy makes, in words that hold no one's data: method, authority and the path with its variable parts left out. Weft's own proxies add them to a load report (LRS)
 * as names of load metrics, so that a change can be judged by the calls that the mesh has seen.
 */

export interface CallWords {
  /** The port at which the caller's proxy took the call. */
  readonly port: number
  /** The caller spoke TLS to its proxy: a gateway's client. */
  readonly tls: boolean
  readonly method: string
  readonly authority: string
  /** `/orders/{n}` */
  readonly path: string
}

const PREFIX = 'weft.call '
const AUTHORITY_CHARS_MAX = 255
const PATH_CHARS_MAX = 256

/** Metric of a call; undefined: it cannot be told in a bounded line. */
export function callMetric(call: CallWords): string | undefined {
  const { port, tls, method, authority, path } = call
  if (authority.length > AUTHORITY_CHARS_MAX || !/^[A-Z]{1,16}$/.test(method) || /\s/.test(authority)) return undefined
  return `${PREFIX}${port} ${tls ? 'tls' : 'plain'} ${method} ${authority} ${path}`
}

/** The call that a metric tells of; undefined: it is another metric. What a proxy says is not trusted: anything out of form is no call. */
export function readCallMetric(metric: string): CallWords | undefined {
  if (!metric.startsWith(PREFIX) || metric.length > AUTHORITY_CHARS_MAX + PATH_CHARS_MAX + 64) return undefined
  const [, port = '', transport = '', method = '', authority = '', path = ''] = /^(\d{1,5}) (tls|plain) ([A-Z]{1,16}) (\S*) (\/\S*|\*)$/.exec(metric.slice(PREFIX.length)) ?? []
  return method === '' ? undefined : { port: Number(port), tls: transport === 'tls', method, authority, path }
}

/** A path without its query, whose segments that look like someone's data stand as `{n}` (digits), `{uuid}` or `{id}`. */
export function pathTemplate(path: string): string {
  const end = /[?#]/.exec(path)?.index ?? path.length
  const template = path
    .slice(0, end)
    .split('/')
    .map((segment) => (segment === '' ? '' : segmentTemplate(segment)))
    .join('/')
  return template.startsWith('/') && template.length <= PATH_CHARS_MAX && !/\s/.test(template) ? template : '/'
}

function segmentTemplate(segment: string): string {
  if (/^\d+$/.test(segment)) return '{n}'
  if (/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(segment)) return '{uuid}'
  const opaque = segment.length > 48 || /[@%:=;,{}]/.test(segment) || (segment.length >= 12 && /\d/.test(segment) && !/[._-]/.test(segment))
  return opaque ? '{id}' : segment
}

/** A path that the template stands for. */
export const pathOf = (template: string): string => template.replaceAll('{n}', '1').replaceAll('{uuid}', '00000000-0000-4000-8000-000000000000').replaceAll('{id}', 'x0000000000000001')
