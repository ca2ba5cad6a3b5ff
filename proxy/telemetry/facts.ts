import type { Origin } from '#core/plan/origin.ts'
import type { PeerInfo, RequestHead } from '#core/route/request.ts'

/** What is known of a request while it runs and when it is over: what log formats and header values may name. */
export interface Facts {
  readonly request: RequestHead
  readonly peer: PeerInfo
  /** Milliseconds since the epoch. */
  readonly startWallMs: number
  readonly durationMs: number
  readonly status: number
  readonly flags: string
  readonly details: string
  readonly requestBytes: number
  readonly responseBytes: number
  readonly routeName: string
  readonly clusterName: string
  readonly upstreamAddress: string
  readonly upstreamServiceMs: number
  readonly upstreamFailure: string
  readonly requestId: string
  readonly attempts: number
  readonly origin: Origin | undefined
  readonly policy: string
  readonly planRevision: number
  readonly downstreamTlsVersion: string
  /** The protocol as logged: `HTTP/1.1`, empty for TCP. */
  readonly protocol: string
  /** Why a connection was closed before anything went on; absent: it was not. */
  readonly terminationDetails?: string | undefined
  /** Absent or -1: no gRPC; -2: none was said. */
  readonly grpcStatus?: number
  responseHeader(name: string): string | undefined
}
