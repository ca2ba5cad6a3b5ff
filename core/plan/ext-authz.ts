import type { StringMatchPlan } from './listener.ts'

/** A service that says yes or no to each request (envoy.extensions.filters.http.ext_authz.v3.ExtAuthz). */
export interface ExtAuthzPlan {
  readonly service:
    | { readonly kind: 'grpc'; readonly cluster: string; readonly authority: string; readonly metadata: readonly { readonly name: string; readonly value: string }[] }
    | {
        readonly kind: 'http'
        readonly cluster: string
        readonly pathPrefix: string
        readonly headersToAdd: readonly { readonly name: string; readonly value: string }[]
        /** Which of the service's answer go on upstream when it says yes; empty: none. */
        readonly upstreamHeaders: readonly StringMatchPlan[]
        readonly upstreamHeadersToAppend: readonly StringMatchPlan[]
        /** Which go to the client when it says no; empty: all but the hop's own. */
        readonly clientHeaders: readonly StringMatchPlan[]
        readonly clientHeadersOnSuccess: readonly StringMatchPlan[]
      }
  readonly timeoutMs: number
  /** The service does not answer: let pass. */
  readonly failsOpen: boolean
  readonly failureModeHeader: boolean
  readonly statusOnError: number
  /** Undefined: for gRPC all, for HTTP what Envoy always sends. */
  readonly allowedHeaders: readonly StringMatchPlan[] | undefined
  readonly disallowedHeaders: readonly StringMatchPlan[]
  /** Send the body too, up to so many bytes. */
  readonly body: { readonly bytesMax: number; readonly partial: boolean; readonly packAsBytes: boolean } | undefined
  readonly reroutes: boolean
  readonly includePeerCertificate: boolean
  /** Only where a shadow RBAC filter before noted such a policy (Istio's CUSTOM policies). */
  readonly enabledBy: { readonly key: string; readonly policy: StringMatchPlan } | undefined
}

export interface RouteExtAuthz {
  readonly disabled: boolean
  readonly contextExtensions: Readonly<Record<string, string>>
}
