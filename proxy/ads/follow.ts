import type { Log } from '../admin/log.ts'
import type { Runtime } from '../runtime.ts'
import type { PlanCell } from './plan-cell.ts'

/** Lets the data path follow the plan. `pending`: listeners whose port is being bound; `settled` runs when one is, or cannot be. */
export function follow(cell: PlanCell, runtime: Runtime, log: Log, settled: () => void): { readonly pending: number } {
  const bound = { pending: 0 }
  cell.follow({
    applyListener(name) {
      bound.pending += 1
      return runtime.applyListener(name).then((failure) => {
        bound.pending -= 1
        if (failure !== '') log.error('listener.not-bound', { listener: name, error: failure })
        settled()
        return failure
      })
    },
    removeListener: (name) => runtime.removeListener(name),
    applyCluster: (name) => runtime.applyCluster(name),
    removeCluster: (name) => runtime.removeCluster(name),
    applyEndpoints: (name) => runtime.applyEndpoints(name),
  })
  return bound
}
