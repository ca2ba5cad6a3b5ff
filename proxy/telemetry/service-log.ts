import { defaultTextFormat } from '#core/telemetry/access-log.ts'
import type { AccessLogPlan, LogServicePlan } from '#core/plan/http.ts'
import { compileOverFacts } from './attributes.ts'
import type { Facts } from './facts.ts'
import { cachedIso, compileFormat, renderFormat } from './format.ts'
import { callEntry, type LogEntry } from './log-entry.ts'
import type { LogQueue, LogServices } from './log-services.ts'

/** The access log of one listener or filter chain that goes to a service of the mesh. */
export class ServiceLog {
  readonly #queue: LogQueue
  readonly #services: LogServices
  readonly #filter: ((facts: Facts) => unknown) | undefined
  readonly #read: (facts: Facts) => LogEntry

  constructor(plan: AccessLogPlan, service: LogServicePlan, services: LogServices) {
    this.#queue = services.queueOf(service)
    this.#services = services
    this.#filter = plan.filter === undefined ? undefined : compileOverFacts(plan.filter)
    this.#read = service.kind === 'otlp' ? otlpEntry(plan, service) : (facts) => ({ startWallMs: facts.startWallMs, body: '', attributes: [], call: callEntry(facts, service) })
  }

  add(facts: Facts): void {
    if (this.#filter !== undefined && this.#filter(facts) !== true) return
    if (this.#services.takes(this.#queue)) this.#services.add(this.#queue, this.#read(facts))
  }

  /** Entries go by the clock of all that the service is sent. */
  flush(): void {}
}

function otlpEntry({ fields }: AccessLogPlan, { attributes }: LogServicePlan): (facts: Facts) => LogEntry {
  const iso = cachedIso()
  const body = compileFormat(fields[0]?.format ?? defaultTextFormat, iso)
  const named = attributes.map(({ name, format }) => ({ name, parts: compileFormat(format, iso) }))
  return (facts) => ({ startWallMs: facts.startWallMs, body: renderFormat(body, facts), attributes: named.map(({ name, parts }) => [name, renderFormat(parts, facts)] as const) })
}
