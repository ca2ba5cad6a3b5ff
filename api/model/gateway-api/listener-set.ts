import type { GatewayListener } from '#core/resource/gateway-api-gateway.ts'
import type { ListenerSetSpec } from '#core/resource/listener-set.ts'
import { admits } from './admission.ts'
import { listenerSetConditions, unsupportedAddress } from './gateway.ts'
import { judgeListener } from './listener.ts'
import { conflicting, conflictWith } from './listener-conflict.ts'
import type { JudgedListener, ListenerContext } from './listener.ts'
import { CONTROLLERS, wrong } from './surroundings.ts'
import type { ApiObject, ConditionValues } from './surroundings.ts'

/** A ListenerSet of a Gateway of this mesh. */
export interface JudgedSet {
  readonly set: ApiObject<ListenerSetSpec>
  readonly conditions: ConditionValues
  /** All of them where the Gateway admits the set; none where it does not. */
  readonly listeners: readonly JudgedListener[]
}

export const isAccepted = ({ conditions }: JudgedSet): boolean => conditions['Accepted']?.[0] === 'True'

/** The older set first; what is asked for twice is the first one's. */
export const byAge = (a: ApiObject, b: ApiObject): number => a.createdAtMs - b.createdAtMs || (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1)

/**
 * ListenerSets of a Gateway, the oldest first, and their listeners beside its own.
 * gateway-api.sigs.k8s.io/geps/gep-1713
 */
export function judgeSets(sets: readonly ApiObject<ListenerSetSpec>[], context: Omit<ListenerContext, 'owner'>): JudgedSet[] {
  const { gateway, controller, around } = context
  const claimed: GatewayListener[] = [...(gateway.spec.listeners ?? [])]
  return [...sets].sort(byAge).map((set): JudgedSet => {
    if (!CONTROLLERS.includes(controller) || !admits({ from: 'None', ...gateway.spec.allowedListeners?.namespaces }, gateway.namespace, set.namespace, around)) {
      const refused = wrong('NotAllowed', "The parent Gateway does not allow this reference; check the 'spec.allowedListeners'")
      return { set, conditions: { Accepted: refused, Programmed: refused }, listeners: [] }
    }
    const unsupported = unsupportedAddress(gateway)
    if (unsupported !== undefined) return { set, conditions: unsupported, listeners: [] }
    const listeners = set.spec.listeners.map((listener) => {
      const judged = judgeListener({ ...context, owner: set }, listener)
      const conflict = conflictWith(listener, claimed)
      return conflict === undefined ? judged : conflicting(judged, conflict)
    })
    const conditions = listenerSetConditions(gateway, listeners, around)
    if (conditions['Accepted']?.[0] === 'True') claimed.push(...listeners.filter((one) => one.conditions['Conflicted']?.[0] !== 'True').map((one) => one.listener))
    return { set, conditions, listeners }
  })
}
