import type { RequestHead } from '../route/request.ts'
import type { StringMatchPlan } from './listener.ts'

/** Tokens that requests must or may bear (envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication). */
export interface JwtPlan {
  readonly providers: ReadonlyMap<string, JwtProviderPlan>
  /** The first that matches decides; none: the request passes. */
  readonly rules: readonly { readonly words: string; matches(request: RequestHead): boolean; readonly requirement: JwtRequirement | undefined }[]
  /** Named requirements, which a route may ask for. */
  readonly requirements: ReadonlyMap<string, JwtRequirement>
  readonly bypassCorsPreflight: boolean
  /** Neither body nor `www-authenticate` on a refusal. */
  readonly stripFailureResponse: boolean
}

export type JwtRequirement =
  | { readonly kind: 'provider'; readonly provider: string; readonly audiences: readonly string[] | undefined }
  | { readonly kind: 'any' | 'all'; readonly of: readonly JwtRequirement[] }
  | { readonly kind: 'allow-missing' }
  | { readonly kind: 'allow-missing-or-failed' }

export interface JwtProviderPlan {
  readonly name: string
  /** Empty: any. */
  readonly issuer: string
  /** Empty: any. */
  readonly audiences: readonly string[]
  readonly subject: StringMatchPlan | undefined
  readonly requireExpiration: boolean
  /** 0: no bound. */
  readonly lifetimeMaxMs: number
  readonly clockSkewMs: number
  readonly fromHeaders: readonly { readonly name: string; readonly prefix: string }[]
  readonly fromParams: readonly string[]
  readonly fromCookies: readonly string[]
  /** The token goes on to the application. */
  readonly forward: boolean
  /** Header that gets the payload, base64url; empty: none. */
  readonly payloadHeader: string
  readonly payloadPadded: boolean
  readonly claimHeaders: readonly { readonly header: string; readonly claim: readonly string[] }[]
  /** Claims become known to RBAC and to routes. */
  readonly tellsClaims: boolean
  /** Claims of words with spaces between, which count as lists. */
  readonly spacedClaims: readonly string[]
  /** Choose the route anew, now that claims are known. */
  readonly reroutes: boolean
  readonly keys: JwtKeysPlan
}

export type JwtKeysPlan =
  | { readonly kind: 'local'; readonly jwks: string }
  | { readonly kind: 'remote'; readonly uri: string; readonly cluster: string; readonly timeoutMs: number; readonly cacheMs: number }

/** What one route says of a filter. */
export interface RouteJwt {
  readonly disabled: boolean
  readonly requirement: string | undefined
}
