import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { EndpointPlan, EndpointsPlan } from '#core/plan/endpoints.ts'
import type { Clock, Timer } from '#core/time/clock.ts'

/** Envoy's default of `dns_refresh_rate`. */
const REFRESH_MS = 5000

/** Endpoints by name, as all the addresses that their names have (STRICT_DNS), resolved anew again and again. A name that cannot be resolved keeps the addresses that it had. */
export class ResolvedNames {
  readonly #clock: Clock
  readonly #refreshMs: number
  readonly #changed: (endpoints: EndpointsPlan) => void
  readonly #addresses = new Map<string, readonly string[]>()
  #endpoints: EndpointsPlan
  #timer: Timer | undefined
  #stopped = false

  constructor(clock: Clock, endpoints: EndpointsPlan, refreshMs: number | undefined, changed: (endpoints: EndpointsPlan) => void) {
    this.#clock = clock
    this.#endpoints = endpoints
    this.#refreshMs = refreshMs === undefined || refreshMs <= 0 ? REFRESH_MS : refreshMs
    this.#changed = changed
    void this.#resolve()
  }

  /** Whether any endpoint is a name at all. */
  static needed(endpoints: EndpointsPlan): boolean {
    return endpoints.localities.some((one) => one.endpoints.some((endpoint) => isIP(endpoint.address) === 0))
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  async #resolve(): Promise<void> {
    const names = new Set(this.#endpoints.localities.flatMap((one) => one.endpoints.map(({ address }) => address)).filter((address) => isIP(address) === 0))
    let changed = false
    await Promise.all(
      [...names].map(async (name) => {
        const found = await addressesOf(name)
        if (found === undefined || found.join() === this.#addresses.get(name)?.join()) return
        this.#addresses.set(name, found)
        changed = true
      }),
    )
    if (this.#stopped) return
    if (changed) this.#changed(this.#expanded())
    this.#timer = this.#clock.after(this.#refreshMs, () => void this.#resolve())
  }

  #expanded(): EndpointsPlan {
    const expand = (endpoint: EndpointPlan): EndpointPlan[] =>
      (this.#addresses.get(endpoint.address) ?? [endpoint.address]).map((address) => ({
        ...endpoint,
        address,
        key: address.includes(':') ? `[${address}]:${endpoint.port}` : `${address}:${endpoint.port}`,
        hostname: endpoint.hostname === '' ? endpoint.address : endpoint.hostname,
      }))
    return { ...this.#endpoints, localities: this.#endpoints.localities.map((one) => ({ ...one, endpoints: one.endpoints.flatMap(expand) })) }
  }
}

/** IPv4 where there is any, else IPv6; sorted, so that the resolver's turns are no changes. Undefined: not now. */
async function addressesOf(name: string): Promise<string[] | undefined> {
  try {
    const all = await lookup(name, { all: true })
    const four = all.filter(({ family }) => family === 4)
    return (four.length > 0 ? four : all).map(({ address }) => address).sort()
  } catch {
    // No such name, or no resolver: what was known stays.
    return undefined
  }
}
