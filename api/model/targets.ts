import type { TargetReference, WorkloadSelector } from '#core/resource/selector.ts'
import { selects } from './labels.ts'
import type { Labels } from './labels.ts'

/** How a policy says where it applies. */
export interface Where {
  readonly selector?: WorkloadSelector | undefined
  readonly targetRef?: TargetReference | undefined
  readonly targetRefs?: readonly TargetReference[] | undefined
}

/** Labels that a gateway process of the Gateway API bears: the Gateway and the class that it was made for. */
export const GATEWAY_NAME_LABEL = 'gateway.networking.k8s.io/gateway-name'
const GATEWAY_CLASS_LABEL = 'gateway.networking.k8s.io/gateway-class-name'

/**
 * Whether a policy of the workload's own namespace or of the root namespace applies to it: by label, or by the Gateway that it is a process of. A policy that is attached
 * to a Service is one for waypoints, and says nothing to sidecars.
 * istio.io/latest/docs/reference/config/type/workload-selector/#PolicyTargetReference
 */
export function appliesTo({ selector, targetRef, targetRefs }: Where, labels: Labels, ofOwnNamespace: boolean): boolean {
  const targets = targetRef === undefined ? (targetRefs ?? []) : [targetRef]
  if (targets.length === 0) return selects(selector?.matchLabels, labels)
  return targets.some((one) => {
    if (one.kind === 'Gateway') return ofOwnNamespace && labels[GATEWAY_NAME_LABEL] === one.name
    return one.kind === 'GatewayClass' && labels[GATEWAY_CLASS_LABEL] === one.name
  })
}
