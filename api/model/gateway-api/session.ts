import type { SessionPersistence } from '#core/resource/http-route.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import type { HttpRoute } from '#core/resource/virtual-service-http.ts'

/** How a client is kept at the endpoint that served it first (gateway-api.sigs.k8s.io/geps/gep-1619). */
export interface Session {
  readonly by: 'cookie' | 'header'
  /** Of the cookie or header, in which the client brings back where it was served. */
  readonly name: string
  /** How long the cookie lives; absent: as long as the browser. */
  readonly lifetime?: string
}

/** An entry of VirtualService.http that stands for a rule of the Gateway API: Istio's model has no word for its sessions. */
export type DerivedHttpRoute = HttpRoute & { readonly session?: Session }

const NAME = 'weft-session'

/** A header has no lifetime, and neither has a cookie that ends with the browser's. */
export function sessionFrom({ sessionName, type, absoluteTimeout, cookieConfig }: SessionPersistence): Session {
  if (type === 'Header') return { by: 'header', name: sessionName ?? NAME }
  const lasts = cookieConfig?.lifetimeType === 'Permanent' && absoluteTimeout !== undefined
  return { by: 'cookie', name: sessionName ?? NAME, ...(lasts ? { lifetime: absoluteTimeout } : {}) }
}

export const sessionOfRoute = (route: HttpRoute): Session | undefined => (route as DerivedHttpRoute).session

/** Where a derived DestinationRule holds the sessions of its host's callers. */
export const SESSION_ANNOTATION = 'internal.istio.io/session'

export function sessionOfRule({ metadata }: Pick<ResourceObject, 'metadata'>): Session | undefined {
  const written = metadata.annotations?.[SESSION_ANNOTATION]
  return written === undefined ? undefined : (JSON.parse(written) as Session)
}
