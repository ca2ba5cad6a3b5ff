import type { WaitResponse } from '#core/contract/apply.ts'
import type { ProxyStatus } from '#core/contract/proxy-status.ts'
import type { Clock, Timer } from '#core/time/clock.ts'
import type { Store } from '#db/store.ts'
import type { Log } from '../log.ts'
import type { Ledger } from '../serve/ledger.ts'

const periodMs = 1000
/** What has not changed is said again so often, and forgotten after three times that. */
const sayAgainMs = 5000
/** How long after somebody asked about a mesh the other replicas' proxies are still looked up. */
const interestMs = 60_000
const pollMs = 200

interface Known {
  askedAtMs: number
  others: readonly ProxyStatus[]
  said: string
  saidAtMs: number
}

type Waited = WaitResponse & { timedOut: boolean }

/** Where the proxies of all replicas on one database stand: each replica writes what its own acknowledged, a row a mesh and at most once a second, and reads the others'. */
export class ReplicaStatuses {
  readonly #store: Store
  readonly #ledger: Ledger
  readonly #clock: Clock
  readonly #log: Log
  readonly #replica: string
  readonly #meshes = new Map<string, Known>()
  readonly #timer: Timer
  #exchanging: Promise<void> | undefined

  constructor(store: Store, ledger: Ledger, clock: Clock, log: Log, replica: string) {
    this.#store = store
    this.#ledger = ledger
    this.#clock = clock
    this.#log = log
    this.#replica = replica
    this.#timer = clock.every(periodMs, () => void this.exchange())
  }

  /** This replica's proxies, and the others' as of a second ago. The first to ask about a mesh hears of the others a moment later. */
  proxies(meshId: string): ProxyStatus[] {
    const known = this.#knownOf(meshId)
    known.askedAtMs = this.#clock.monotonicMs()
    return [...this.#ledger.statuses(meshId), ...known.others]
  }

  /** Completes what this replica's proxies made of a revision by what the others' did. */
  async completed(meshId: string, here: Waited, timeoutMs: number): Promise<Waited> {
    const endsAtMs = this.#clock.monotonicMs() + timeoutMs
    for (;;) {
      const others = await this.#store.otherReplicaStatus(meshId, this.#replica)
      const rejecting = others.filter((one) => rejectionOf(one, here.revision) !== undefined)
      const behind = others.filter((one) => one.syncedRevision < here.revision && !rejecting.includes(one))
      if (behind.length === 0 || this.#clock.monotonicMs() >= endsAtMs) {
        return {
          ...here,
          acknowledged: here.acknowledged + others.length - behind.length - rejecting.length,
          stragglers: [...here.stragglers, ...behind.map(nameOf)],
          rejected: [
            ...here.rejected,
            ...rejecting.flatMap((one) => {
              const rejection = rejectionOf(one, here.revision)
              return rejection ? [{ proxy: nameOf(one), message: rejection.message, resources: [...rejection.resources], origins: [...rejection.origins] }] : []
            }),
          ],
          timedOut: here.timedOut || behind.length > 0,
        }
      }
      await new Promise<void>((resolve) => this.#clock.after(pollMs, resolve))
    }
  }

  /** Says what is new here, and hears of the others. */
  exchange(): Promise<void> {
    return (this.#exchanging ??= this.#exchange().finally(() => (this.#exchanging = undefined)))
  }

  async close(): Promise<void> {
    this.#timer.cancel()
    await this.#exchanging
  }

  async #exchange(): Promise<void> {
    const nowMs = this.#clock.monotonicMs()
    for (const meshId of this.#ledger.meshIds()) this.#knownOf(meshId)
    for (const [meshId, known] of this.#meshes) {
      try {
        const statuses = this.#ledger.statuses(meshId)
        const said = JSON.stringify(statuses)
        if (said !== known.said || (statuses.length > 0 && nowMs - known.saidAtMs >= sayAgainMs)) {
          await this.#store.putReplicaStatus(meshId, this.#replica, statuses, sayAgainMs * 3)
          known.said = said
          known.saidAtMs = nowMs
        }
        const isAsked = nowMs - known.askedAtMs < interestMs
        known.others = isAsked ? await this.#store.otherReplicaStatus(meshId, this.#replica) : []
        if (!isAsked && statuses.length === 0) this.#meshes.delete(meshId)
      } catch (error) {
        // A status may be late; configuration and its acknowledgements go on without it.
        this.#log.warn('observe.exchange-failed', { mesh: meshId, reason: error instanceof Error ? error.message : String(error) })
      }
    }
  }

  #knownOf(meshId: string): Known {
    let known = this.#meshes.get(meshId)
    if (known === undefined) this.#meshes.set(meshId, (known = { askedAtMs: -Infinity, others: [], said: '[]', saidAtMs: 0 }))
    return known
  }
}

const nameOf = ({ node }: ProxyStatus): string => (node.namespace === '' ? node.id : `${node.name}.${node.namespace}`)

const rejectionOf = (status: ProxyStatus, revision: number) => status.types.find((type) => type.rejection !== undefined && type.rejection.revision >= revision)?.rejection
