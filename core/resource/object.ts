/** An object of the configuration API, as Kubernetes clients write it. Core kinds keep their own top-level fields (`data`, `type`, `stringData`). */
export interface ResourceObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly spec?: unknown
  readonly status?: unknown
  readonly [field: string]: unknown
}

export interface ObjectMeta {
  readonly name: string
  /** Empty or absent for cluster-scoped kinds. */
  readonly namespace?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly uid?: string
  readonly resourceVersion?: string
  readonly generation?: number
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
  readonly deletionGracePeriodSeconds?: number
  readonly selfLink?: string
  readonly generateName?: string
  readonly finalizers?: readonly string[]
  readonly ownerReferences?: readonly unknown[]
  readonly managedFields?: readonly unknown[]
}

/** `VirtualService/prod/order-service`: how Weft names an object in words, faults and origins. */
export const objectName = (of: { kind: string; metadata: { namespace?: string; name: string } }): string =>
  of.metadata.namespace ? `${of.kind}/${of.metadata.namespace}/${of.metadata.name}` : `${of.kind}/${of.metadata.name}`
