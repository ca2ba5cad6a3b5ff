import type { MeshModel } from '#api/model/mesh-model.ts'
import { GATEWAY_API } from '#api/model/gateway-api/surroundings.ts'
import type { ApiStatus, ConditionValues } from '#api/model/gateway-api/surroundings.ts'
import type { ResourceObject } from '#core/resource/object.ts'

/** The status of an object of the Gateway API as its readers know it (gateway-api.sigs.k8s.io/reference/spec); undefined: it is another kind, or not this mesh's. */
export function gatewayApiStatusOf(model: MeshModel | undefined, object: ResourceObject): ResourceObject['status'] {
  const [group, version] = object.apiVersion.split('/')
  if (model === undefined || group !== GATEWAY_API || version === undefined) return undefined
  const { name, namespace = '' } = object.metadata
  const told = model.gatewayApiStatus({ kind: object.kind, namespace, name })
  return told && statusObject(told, object)
}

function statusObject({ conditions, addresses, listeners, parents }: ApiStatus, { metadata }: ResourceObject): ResourceObject['status'] {
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
  return {
    ...(conditions === undefined ? {} : { conditions: listOf(conditions) }),
    ...(addresses === undefined ? {} : { addresses }),
    ...(listeners === undefined
      ? {}
      : {
          listeners: Object.entries(listeners).map(([name, one]) => ({
            name,
            supportedKinds: one.supportedKinds.map((kind) => ({ group: GATEWAY_API, kind })),
            attachedRoutes: one.attachedRoutes,
            conditions: listOf(one.conditions),
          })),
        }),
    ...(parents === undefined ? {} : { parents: parents.map((one) => ({ parentRef: one.ref, controllerName: one.controller, conditions: listOf(one.conditions) })) }),
  }
}
