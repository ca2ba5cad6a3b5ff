import type { ProxyStatus } from '#core/contract/proxy-status.ts'
import { describeFault, type Fault } from '#core/fault/fault.ts'
import type { ResourceObject } from '#core/resource/object.ts'

/** Groups whose objects become what proxies are sent. */
const groups = new Set(['networking.istio.io', 'security.istio.io', 'telemetry.istio.io', 'extensions.istio.io'])
/** How long a picture of the proxies serves: a list of a thousand objects looks at them once. */
const standingMs = 200
/** Proxies that a message names. */
const namedMax = 5

/** A Kubernetes condition (metav1.Condition). */
export interface Condition {
  readonly type: 'Accepted' | 'Programmed'
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
  readonly observedGeneration?: number
  readonly lastTransitionTime: string
}

interface Refusal {
  readonly proxies: Set<string>
  readonly message: string
  readonly atMs: number
}

/** Where the proxies of one mesh stand, prepared for many questions. */
export interface Standing {
  /** Of each proxy, the revision up to which it has acknowledged all that concerns it, ascending. */
  readonly synced: readonly number[]
  /** By object, `VirtualService/prod/orders`. */
  readonly refusals: ReadonlyMap<string, Refusal>
}

export function standingOf(proxies: readonly ProxyStatus[]): Standing {
  const refusals = new Map<string, Refusal>()
  for (const proxy of proxies) {
    for (const { rejection, refusals: standing = [] } of proxy.types) {
      for (const { origins, message, atMs } of [...(rejection ? [rejection] : []), ...standing]) {
        for (const origin of origins) {
          const object = origin.split(' ')[0] ?? ''
          const of = refusals.get(object) ?? { proxies: new Set<string>(), message, atMs }
          refusals.set(object, of)
          of.proxies.add(proxy.node.name)
        }
      }
    }
  }
  return { synced: proxies.map((one) => one.syncedRevision).sort((a, b) => a - b), refusals }
}

/**
 * What became of an object: whether it was taken, and whether the proxies carry it out. A bad object is kept from the proxies (`Invalid`), or was refused by some and is not sent to them again,
 * nor to others like them (`Rejected`), while all others flow.
 * @param object as readers get it, with resourceVersion and generation
 * @param found what was found in passing, of any object
 */
export function conditionsOf(object: ResourceObject, standing: Standing, found: readonly Fault[] = []): Condition[] {
  const { name, namespace = '', resourceVersion, generation, creationTimestamp } = object.metadata
  const id = `${object.kind}/${namespace}/${name}`
  const createdAt = typeof creationTimestamp === 'string' ? creationTimestamp : ''
  const condition = (type: Condition['type'], status: Condition['status'], reason: string, message: string, sinceMs?: number): Condition => ({
    type,
    status,
    reason,
    message,
    ...(typeof generation === 'number' ? { observedGeneration: generation } : {}),
    lastTransitionTime: sinceMs === undefined ? createdAt : new Date(sinceMs).toISOString().replace(/\.\d{3}Z$/, 'Z'),
  })
  const own = found.filter((one) => one.resource === undefined || one.resource === id)
  const broken = own.filter((one) => one.severity === 'error')
  const accepted = condition('Accepted', 'True', 'Accepted', own.map(describeFault).join('; '))
  if (broken.length > 0) return [accepted, condition('Programmed', 'False', 'Invalid', `kept from the proxies: ${broken.map(describeFault).join('; ')}`)]
  return [accepted, programmed(id, Number(resourceVersion ?? 0), standing, (status, reason, message, sinceMs) => condition('Programmed', status, reason, message, sinceMs))]
}

function programmed(id: string, revision: number, { synced, refusals }: Standing, make: (status: Condition['status'], reason: string, message: string, sinceMs?: number) => Condition): Condition {
  const refusal = refusals.get(id)
  if (refusal) {
    const names = [...refusal.proxies]
    const more = names.length > namedMax ? ` and ${names.length - namedMax} more` : ''
    return make('False', 'Rejected', `${names.slice(0, namedMax).join(', ')}${more} refused it: ${refusal.message}`, refusal.atMs)
  }
  if (synced.length === 0) return make('Unknown', 'NoProxies', 'no proxy is connected')
  const behind = synced.findIndex((one) => one >= revision)
  const there = behind === -1 ? 0 : synced.length - behind
  const message = `in sync with ${there} of ${synced.length} proxies`
  return there === synced.length ? make('True', 'Programmed', message) : make('False', 'Pending', message)
}

/** The conditions of objects as readers get them. */
export class Conditions {
  readonly #statuses: (meshId: string) => readonly ProxyStatus[]
  readonly #nowMs: () => number
  readonly #faults: (meshId: string, object: string) => readonly Fault[]
  readonly #standings = new Map<string, { readonly atMs: number; readonly standing: Standing }>()

  /** @param faults what could not be translated of an object */
  constructor(statuses: (meshId: string) => readonly ProxyStatus[], nowMs: () => number, faults: (meshId: string, object: string) => readonly Fault[] = () => []) {
    this.#statuses = statuses
    this.#nowMs = nowMs
    this.#faults = faults
  }

  /** Undefined for kinds that no proxy is sent. */
  statusOf(meshId: string, object: ResourceObject): ResourceObject['status'] {
    if (!groups.has(object.apiVersion.split('/')[0] ?? '')) return undefined
    return { conditions: conditionsOf(object, this.#standing(meshId), this.#faults(meshId, `${object.kind}/${object.metadata.namespace ?? ''}/${object.metadata.name}`)) }
  }

  #standing(meshId: string): Standing {
    const nowMs = this.#nowMs()
    const known = this.#standings.get(meshId)
    if (known !== undefined && nowMs - known.atMs < standingMs) return known.standing
    const standing = standingOf(this.#statuses(meshId))
    this.#standings.set(meshId, { atMs: nowMs, standing })
    return standing
  }
}
