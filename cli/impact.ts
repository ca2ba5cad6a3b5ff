import type { CallOutcome, Impact } from '#core/contract/impact.ts'
import { formatTable } from './table.ts'

const NAMES_SHOWN = 3
const RESOURCES_SHOWN = 12

/** An impact for people: objects, who is affected by what, and the calls that would go another way. */
export function impactWords(impact: Impact): string {
  const { proxies, workloads, groups, calls, callsSeen, callsUnknown } = impact
  const changed = impact.objects.filter(({ verdict }) => verdict !== 'unchanged' && verdict !== 'skipped' && verdict !== 'absent')
  const head = `${count(changed.length, 'object')} of ${impact.objects.length} would change, and with ${changed.length === 1 ? 'it' : 'them'} resources of ${proxies.affected} of ${count(proxies.total, 'proxy')}\n`
  const byWorkload = workloads.length === 0 ? '' : `\n${formatTable(['WORKLOAD', 'PROXIES'], workloads.map((one) => [one.name, String(one.proxies)]))}\n`
  const rows = groups.flatMap(({ proxies: names, resources }) =>
    resources.slice(0, RESOURCES_SHOWN).map((resource, at) => [at === 0 ? someOf(names) : '', shortType(resource.type), resource.name, resource.change, resource.origins.join(', ')]).concat(
      resources.length > RESOURCES_SHOWN ? [['', `and ${resources.length - RESOURCES_SHOWN} more`]] : [],
    ),
  )
  const resources = rows.length === 0 ? '' : `\n${formatTable(['PROXY', 'TYPE', 'RESOURCE', 'CHANGE', 'FROM'], rows)}\n`
  const unknown = callsUnknown === 0 ? '' : `; of ${callsUnknown} nothing can be said`
  const seen = callsSeen === 0 ? '\nno calls were seen lately\n' : `\n${calls.length} of ${count(callsSeen, 'call')} seen lately would go another way${unknown}\n`
  const told = calls.map((call) => `\n  ${call.from} ${call.method ?? 'TCP'} ${call.url}${call.assumed ? ' (method and path assumed)' : ''}\n    before: ${outcomeWords(call.before)}\n    after:  ${outcomeWords(call.after)}\n`)
  return head + byWorkload + resources + seen + told.join('')
}

const count = (number: number, what: string): string => `${number} ${number === 1 ? what : what === 'proxy' ? 'proxies' : `${what}s`}`

const someOf = (names: readonly string[]): string => (names.length <= NAMES_SHOWN ? names.join(', ') : `${names.slice(0, NAMES_SHOWN).join(', ')} and ${names.length - NAMES_SHOWN} more`)

const shortType = (type: string): string => type.slice(type.lastIndexOf('.') + 1)

function outcomeWords(outcome: CallOutcome): string {
  const { status, by, to, timeoutMs, retries, mirrors, rewrite } = outcome
  const where = outcome.outcome === 'routed' && status === undefined ? `to ${to.map((one) => `${one.host}:${one.port}${one.subset === '' ? '' : ` ${one.subset}`}${to.length === 1 ? '' : ` ${Number(one.weight.toFixed(2))} %`}${one.endpoints === 0 ? ' (no endpoint)' : ''}`).join(', ')}` : outcome.why
  const more = [
    ...(timeoutMs !== undefined && timeoutMs > 0 ? [`timeout ${timeoutMs} ms`] : []),
    ...(retries !== undefined && retries > 0 ? [`${retries} retries`] : []),
    ...(rewrite === undefined ? [] : [`as ${rewrite.authority ?? ''}${rewrite.path ?? ''}`]),
    ...mirrors.map((one) => `mirrored to ${one.cluster}`),
  ]
  const decided = by === undefined ? '' : `, by ${by.resource}${by.field === '' ? '' : ` ${by.field}`}`
  return `${outcome.outcome}${status === undefined ? '' : ` ${status}`} ${where}${more.length === 0 ? '' : ` (${more.join(', ')})`}${decided}`
}
