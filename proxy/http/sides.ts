import type { PeerInfo } from '#core/route/request.ts'
import type { Source } from '../telemetry/metrics.ts'
import type { HttpRequestHead } from './request-head.ts'
import type { HttpResponseHead } from './response-reader.ts'
import type { TunnelEnd } from '../tcp/tunnel.ts'

/** What an exchange needs of whoever asked and of whoever answers: a connection where HTTP/1.1 is spoken, a stream where HTTP/2 is. */

/** The end of one message's way, either side. */
interface Side {
  /** `HTTP/1.1` or `HTTP/2`, as logs have it. */
  readonly protocol: string
  /** More may not be sent now; a call of `onDownstreamWritable` or `onUpstreamWritable` follows. */
  readonly congested: boolean
  /** TLS: one message may come in several reads of one turn. */
  readonly readsRecords: boolean
  /** Copied before this returns. */
  sendBody(bytes: Buffer, start: number, end: number): void
  /** The message is complete. `trailers`: lines with their CRLFs, lost where the framing has no place for them. */
  sendEnd(trailers: string): void
  /** What was sent leaves now, or at the end of this turn of the event loop. */
  flush(): void
  flushLate(): void
  /** The other side cannot follow: nothing more is read. */
  pause(): void
  resume(): void
}

export interface Downstream extends Side {
  readonly peer: PeerInfo
  readonly tlsVersion: string
  /** XFCC element of the client's certificate; empty without one. */
  readonly clientCertificate: string
  /** More of what one read brought may follow at once: what goes upstream is flushed at its end. */
  readonly reading: boolean
  /** Who calls, for metrics. */
  sourceOf(request: HttpRequestHead): Source
  sendContinue(): void
  /** An answer's head; `framing` as in body.ts. `lines` have their CRLFs, and none concerns the connection. */
  sendHead(status: number, statusText: string, lines: string, framing: number): void
  /** An answer of our own, whole. */
  sendAnswer(status: number, lines: string, body: string, closes: boolean): void
  /** The answer is complete, or was given up before it began. `closes`: nothing more may come on the connection. */
  exchangeOver(requestComplete: boolean, closes: boolean): void
  /** The answer began and cannot be finished. */
  fail(): void
  /** `head` switches protocols or grants a CONNECT, which is granted without one as well; from here on bytes pass both ways. `over` runs once, at the end. */
  becomeTunnel(head: HttpResponseHead | undefined, lines: string, upstream: TunnelledUpstream, over: (sentBytes: number, receivedBytes: number) => void): void
}

/** An upstream that answered 101, or 2xx to a CONNECT: what is left is its wire, or its stream, and what was read behind the head. */
export interface TunnelledUpstream {
  readonly wire: TunnelEnd
  takeRest(): Buffer | undefined
}

/**
 * `reset`: with its connection; `protocol`: what came was no answer, or the server says so of the request; `remote`: the server gave up this request alone; `refused`: it did not begin with it;
 * `connect`: the far end of a tunnel broke.
 */
export type UpstreamLoss = 'reset' | 'protocol' | 'remote' | 'refused' | 'connect'

/** Who sent the request that an upstream carries. */
export interface UpstreamUser {
  onUpstreamResponse(head: HttpResponseHead): void
  onUpstreamBody(bytes: Buffer, start: number, end: number): void
  onUpstreamEnd(trailers: string): void
  /** Everything that one read brought has been told: a good moment to write. */
  onUpstreamReadDone(): void
  /** The upstream is lost, before the answer's end. */
  onUpstreamReset(why: UpstreamLoss): void
  onUpstreamWritable(): void
}

export interface Upstream extends Side {
  /** Requests that its connection carried, this one included. */
  readonly requests: number
  /** Bytes of this answer arrived. */
  readonly answered: boolean
  /** Encrypted, and the peer proved who it is. */
  readonly secure: boolean
  /** Takes it for one request; the head is sent next. */
  begin(user: UpstreamUser, method: string): void
  /** `framing` as in body.ts; `upgrade` asks to switch to that protocol, empty: no. */
  sendHead(method: string, scheme: string, authority: string, path: string, lines: string, framing: number, upgrade: string): void
  /** The exchange is over and both messages are complete. */
  finish(): void
  /** The exchange is over, and this cannot carry it to its end. */
  abort(): void
  /** After 101, or 2xx to a CONNECT. */
  readonly tunnel: TunnelledUpstream | undefined
}
