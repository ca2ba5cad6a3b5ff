import type { MeshModel } from '#api/model/mesh-model.ts'
import { GATEWAY_API, isGatewayApi } from '#api/model/gateway-api/surroundings.ts'
import type { ApiStatus, ConditionValues, ParentStatus } from '#api/model/gateway-api/surroundings.ts'
import type { ResourceObject } from '#core/resource/object.ts'

/** The status of an object of the Gateway API as its readers know it (gateway-api.sigs.k8s.io/reference/spec); undefined: it is another kind, or not this mesh's. */
export function gatewayApiStatusOf(model: MeshModel | undefined, object: ResourceObject): ResourceObject['status'] {
  const [group, version] = object.apiVersion.split('/')
  if (model === undefined || group === undefined || !isGatewayApi(group) || version === undefined) return undefined
  const { name, namespace = '' } = object.metadata
  const told = model.gatewayApiStatus({ kind: object.kind, namespace, name })
  return told && statusObject(told, object)
}

function statusObject({ conditions, addresses, listeners, attachedListenerSets, parents, ancestors }: ApiStatus, { metadata, status }: ResourceObject): ResourceObject['status'] {
  const { creationTimestamp, generation } = metadata
  const listOf = (values: ConditionValues): object[] =>
    Object.entries(values).map(([type, [status, reason, message]]) => ({
      type,
      status,
      reason,
      message,
      ...(typeof generation === 'number' ? { observedGeneration: generation } : {}),
      lastTransitionTime: typeof creationTimestamp === 'string' ? creationTimestamp : '1970-01-01T00:00:00Z',
    }))
  const kept = status as { readonly conditions?: unknown; readonly listeners?: unknown } | undefined
  const listenersKept = Array.isArray(kept?.listeners) ? (kept.listeners as readonly { readonly name?: unknown; readonly conditions?: unknown }[]) : []
  const told = (as: string, list: readonly ParentStatus[]): object[] => list.map((one) => ({ [as]: one.ref, controllerName: one.controller, conditions: listOf(one.conditions) }))
  return {
    ...(conditions === undefined ? {} : { conditions: [...listOf(conditions), ...othersConditions(kept?.conditions)] }),
    ...(addresses === undefined ? {} : { addresses }),
    ...(attachedListenerSets === undefined ? {} : { attachedListenerSets }),
    ...(listeners === undefined
      ? {}
      : {
          listeners: Object.entries(listeners).map(([name, one]) => ({
            name,
            supportedKinds: one.supportedKinds.map((kind) => ({ group: GATEWAY_API, kind })),
            attachedRoutes: one.attachedRoutes,
            conditions: [...listOf(one.conditions), ...othersConditions(listenersKept.find((of) => of.name === name)?.conditions)],
          })),
        }),
    ...(parents === undefined ? {} : { parents: [...othersIn(status, 'parents'), ...told('parentRef', parents)] }),
    ...(ancestors === undefined ? {} : { ancestors: [...othersIn(status, 'ancestors'), ...told('ancestorRef', ancestors)] }),
  }
}

/** Types of conditions that are told here, and so not kept from before. */
const OWN_TYPES: ReadonlySet<unknown> = new Set(['Accepted', 'Programmed', 'ResolvedRefs', 'Conflicted', 'OverlappingTLSConfig', 'InsecureFrontendValidationMode', 'SupportedVersion'])

/** Conditions of types that somebody else tells of an object stay as they are. */
const othersConditions = (list: unknown): unknown[] => (Array.isArray(list) ? list.filter((one: { type?: unknown }) => typeof one.type === 'string' && !OWN_TYPES.has(one.type)) : [])

/** What controllers of others have told stays as it is. */
function othersIn(status: ResourceObject['status'], list: 'parents' | 'ancestors'): unknown[] {
  const found = (status as Readonly<Record<string, unknown>> | undefined)?.[list]
  return Array.isArray(found) ? found.filter((one: { controllerName?: unknown }) => typeof one.controllerName === 'string' && !/^(istio\.io|weft\.dev)\//.test(one.controllerName)) : []
}
