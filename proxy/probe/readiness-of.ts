import type { ReadinessProbe } from '#core/wire/gen/istio/networking/v1alpha3/workload_group_pb.ts'
import type { Log } from '../admin/log.ts'
import { askReadiness, type ProbeDoors } from './ask.ts'
import { Readiness } from './readiness.ts'

/** The readiness of the workload beside a proxy, of either engine. `say` tells the mesh the reason why it is not ready, empty when it is. */
export function readinessOf(probe: ReadinessProbe, doors: ProbeDoors, to: { readonly isReady: boolean; readonly say: (why: string) => void; readonly log: Log }): Readiness {
  const told = (why: string): void => {
    if (why === '') to.log.info('probe.ready', {})
    else to.log.warn('probe.not-ready', { error: why })
    to.say(why)
  }
  return new Readiness(doors.clock, probe, { ask: () => askReadiness(probe, doors), told, isReady: to.isReady })
}
