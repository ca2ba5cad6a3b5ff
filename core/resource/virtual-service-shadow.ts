import { warning } from '../fault/fault.ts'
import type { Fault } from '../fault/fault.ts'
import type { VirtualServiceSpec } from './virtual-service.ts'
import type { HttpMatch } from './virtual-service-http.ts'

/** Warns of routes and matches that an earlier one takes everything from: the first match wins. */
export function shadowedRoutes(spec: VirtualServiceSpec): Fault[] {
  return [...shadowed('spec.http', spec.http ?? [], httpPrefix), ...shadowed('spec.tls', spec.tls ?? []), ...shadowed('spec.tcp', spec.tcp ?? [])]
}

function shadowed<Match extends object>(path: string, rules: readonly { readonly match?: readonly Match[] | undefined }[], prefixOf?: (match: Match) => Prefix | undefined): Fault[] {
  const faults: Fault[] = []
  const seen = new Map<string, string>()
  const prefixes: (Prefix & { at: string; rule: number })[] = []
  let catchAll: number | undefined
  for (const [ruleIndex, rule] of rules.entries()) {
    const matches = rule.match ?? []
    const at = `${path}[${ruleIndex}]`
    if (catchAll !== undefined) {
      faults.push(warning('object.field-inert', { path: at, rule: `no request comes this far: ${path}[${catchAll}] takes all` }))
      continue
    }
    if (matches.length === 0) catchAll = ruleIndex
    let unused = 0
    for (const [index, match] of matches.entries()) {
      const matchAt = `${at}.match[${index}]`
      const key = canonical(match)
      const twin = seen.get(key)
      const prefix = prefixOf?.(match)
      const wider = prefix && prefixes.find((one) => (one.rest === prefix.rest || one.rest === '{}') && prefix.prefix.startsWith(one.prefix))
      if (twin !== undefined || wider !== undefined) {
        unused += 1
        faults.push(warning('object.field-inert', { path: matchAt, rule: `nothing comes this far: ${twin ?? wider?.at} takes it` }))
      } else {
        seen.set(key, matchAt)
      }
      if (prefix !== undefined) prefixes.push({ ...prefix, at: matchAt, rule: ruleIndex })
    }
    if (matches.length > 0 && unused === matches.length) faults.push(warning('object.field-inert', { path: at, rule: 'no request comes this far: earlier routes take all that it matches' }))
  }
  return faults
}

interface Prefix {
  readonly prefix: string
  /** All other conditions, in one form: a prefix covers a longer one only where it asks for nothing else, or for the same. */
  readonly rest: string
}

function httpPrefix(match: HttpMatch): Prefix | undefined {
  const { uri, name: _, statPrefix: __, ...rest } = match
  return uri?.prefix === undefined ? undefined : { prefix: uri.prefix, rest: canonical(rest) }
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (value !== null && typeof value === 'object') {
    return `{${Object.entries(value)
      .filter(([name]) => name !== 'name' && name !== 'statPrefix')
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, one]) => `${name}:${canonical(one)}`)
      .join(',')}}`
  }
  return JSON.stringify(value)
}
