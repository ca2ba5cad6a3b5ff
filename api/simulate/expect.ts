import type { Expectation } from '#core/contract/requests-file.ts'
import type { Trail } from '#core/explain/trail.ts'
import { durationMs } from '#core/resource/duration.ts'
import { destinationOf, type Destination } from './recorded-destination.ts'

type Wanted = NonNullable<Expectation['to']>[number]

/** What the caller sends of it. */
export interface Sent {
  readonly headers: Readonly<Record<string, string>>
  readonly host: string
  /** With its query; absent where there is none. */
  readonly path?: string
}

/** What differs between an expectation and what became of a request, in words; empty: nothing. What the expectation does not name is not judged. */
export function differences(expected: Expectation, got: Trail, sent: Sent = { headers: {}, host: '' }): string[] {
  const found: string[] = []
  const compare = (what: string, wanted: unknown, came: unknown): void => {
    if (wanted !== undefined && wanted !== came) found.push(`${what} ${String(wanted)} was expected, ${came === undefined ? 'none' : String(came)} came`)
  }
  compare('outcome', expected.outcome, got.outcome)
  if (expected.status !== undefined && !(got.status === undefined && got.outcome === 'routed' && expected.status < 300)) compare('status', expected.status, got.status ?? (got.outcome === 'routed' ? 'the application’s own' : undefined))
  if (expected.by !== undefined && expected.by !== got.by?.resource && expected.by !== `${got.by?.resource} ${got.by?.field}`) compare('by', expected.by, got.by?.resource)
  compare('location', expected.location, got.location)
  compare('rewritten path', expected.rewrite?.path, got.rewrite?.path ?? (got.outcome === 'routed' ? sent.path : undefined))
  compare('rewritten authority', expected.rewrite?.authority, got.rewrite?.authority)
  if (expected.timeout !== undefined) compare('timeout of ms', durationMs(expected.timeout), got.timeoutMs)
  compare('retries', expected.retries, got.retries)
  for (const [name, value] of Object.entries(expected.headers ?? {})) {
    const came = arriving(name.toLowerCase(), got, sent)
    if (!meets(value, came)) compare(`header ${name}`, value, came)
  }
  for (const name of expected.withoutHeaders ?? []) {
    const came = arriving(name.toLowerCase(), got, sent)
    if (came !== undefined) found.push(`header ${name} was not expected, ${came} came`)
  }
  if (expected.to !== undefined) {
    const led = got.outcome === 'routed' ? got.to.map((one) => destinationOf(one.cluster, one.weight)) : []
    if (!sameDestinations(expected.to, led)) found.push(`to ${wordsOf(expected.to)} was expected, ${led.length === 0 ? 'nowhere' : wordsOf(led)} came`)
  }
  if (expected.mirrors !== undefined) {
    const copied = got.mirrors.map((one) => ({ ...destinationOf(one.cluster, undefined), percent: one.percent }))
    const fits = copied.length === expected.mirrors.length && expected.mirrors.every((wanted) => copied.some((one) => isOf(wanted, one) && (wanted.percent === undefined || wanted.percent === one.percent)))
    if (!fits) found.push(`mirrors ${JSON.stringify(expected.mirrors)} were expected, ${JSON.stringify(got.mirrors)} came`)
  }
  return found
}

/** A value as it stands, or a regular expression between slashes. */
export function meets(wanted: string, came: string | undefined): boolean {
  const pattern = /^\/(.*)\/$/.exec(wanted)?.[1]
  return pattern === undefined ? came === wanted : came !== undefined && new RegExp(pattern).test(came)
}

/** A request header as it leaves towards a destination: removed, then set, then added to (Envoy's order); several values as an application reads them. */
function arriving(name: string, got: Trail, { headers, host }: Sent): string | undefined {
  const authority = got.rewrite?.authority ?? host
  const own = name === 'host' || name === ':authority' ? (authority === '' ? undefined : authority) : Object.entries(headers).find(([one]) => one.toLowerCase() === name)?.[1]
  const { set = [], add = [], remove = [] } = got.requestHeaders ?? {}
  const kept = remove.includes(name) ? undefined : own
  const values = [set.findLast((one) => one.name === name)?.value ?? kept, ...add.filter((one) => one.name === name).map((one) => one.value)]
  const all = values.filter((one) => one !== undefined)
  return all.length === 0 ? undefined : all.join(', ')
}

/** In any order; weights as shares, where all are named. */
function sameDestinations(wanted: readonly Wanted[], led: readonly Destination[]): boolean {
  if (wanted.length !== led.length) return false
  const weighed = wanted.every((one) => one.weight !== undefined)
  const total = wanted.reduce((sum, one) => sum + (one.weight ?? 0), 0)
  const left = [...led]
  for (const one of wanted) {
    const at = left.findIndex((candidate) => isOf(one, candidate) && (!weighed || Math.abs((100 * (one.weight ?? 0)) / total - (candidate.weight ?? 0)) < 0.01))
    if (at < 0) return false
    left.splice(at, 1)
  }
  return true
}

const isOf = (wanted: Wanted, led: Destination): boolean => (['kind', 'host', 'subset', 'port'] as const).every((field) => wanted[field] === undefined || wanted[field] === (led[field] ?? (field === 'subset' ? '' : undefined)))

const wordsOf = (to: readonly (Wanted | Destination)[]): string =>
  to.map((one) => `${one.host ?? one.kind ?? ''}${one.port === undefined ? '' : `:${one.port}`}${one.subset ? ` ${one.subset}` : ''}${one.weight === undefined ? '' : ` ${Number(one.weight.toFixed(2))} %`}`.trim()).join(', ')
