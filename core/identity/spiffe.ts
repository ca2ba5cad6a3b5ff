/** A workload's identity: `spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT` (SPIFFE ID standard §2, in Istio's form). */
export interface SpiffeId {
  readonly trustDomain: string
  readonly namespace: string
  readonly serviceAccount: string
}

const FORM = /^spiffe:\/\/([a-z0-9._-]+)\/ns\/([a-z0-9-]+)\/sa\/([a-zA-Z0-9._-]+)$/

export const formatSpiffeId = (id: SpiffeId): string => `spiffe://${id.trustDomain}/ns/${id.namespace}/sa/${id.serviceAccount}`

export function parseSpiffeId(uri: string): SpiffeId | undefined {
  const parts = FORM.exec(uri)
  if (!parts) return undefined
  const [, trustDomain, namespace, serviceAccount] = parts
  return { trustDomain: trustDomain ?? '', namespace: namespace ?? '', serviceAccount: serviceAccount ?? '' }
}
