import type { WaitResponse } from '#core/contract/apply.ts'
import { readNodeId } from '#core/workload/node-message.ts'
import type { SyncOutcome } from '../serve/ledger.ts'
import type { PushTimes } from '../serve/pushes.ts'

/** `order-v1.prod` of a node id. */
function proxyName(nodeId: string): string {
  const { name, namespace } = readNodeId(nodeId)
  return namespace === '' ? nodeId : `${name}.${namespace}`
}

/** What became of a revision, by the names that people know proxies by. `times`: of the change, when it concerned anyone and all of them have answered. */
export function waitResponseOf(revision: number, outcome: SyncOutcome, times: PushTimes | undefined): WaitResponse & { timedOut: boolean } {
  return {
    revision,
    acknowledged: outcome.acked.length,
    p50Ms: times?.p50Ms ?? null,
    p99Ms: times?.p99Ms ?? null,
    stragglers: outcome.stragglers.map(proxyName),
    rejected: outcome.rejected.map(({ node, rejection }) => ({
      proxy: proxyName(node),
      message: rejection.message,
      resources: [...rejection.resources],
      origins: [...rejection.origins],
    })),
    timedOut: outcome.stragglers.length > 0,
  }
}
