import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import type { CallerSide } from '../credentials.ts'
import type { Caller } from './server-call.ts'

/** What a GET is answered with. */
export interface Downloaded {
  readonly status: number
  readonly body?: Uint8Array
}

/** What is had by GET on the same port as gRPC: large bytes, which messages would hold up discovery for. */
export interface Download {
  /** What paths begin with. */
  readonly path: string
  /** @param rest of the path, behind `path` */
  answer(caller: CallerSide, rest: string): Promise<Downloaded>
}

/** Answers one GET. The bytes go out as fast as the caller reads them, and are held once for all callers. */
export function respond(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, caller: Caller, download: Download, onWelcome: () => void): void {
  let isKnown = false
  const side: CallerSide = {
    metadata: {
      get: (name) => {
        const value = headers[name]
        return typeof value === 'string' ? [value] : (value ?? [])
      },
    },
    getPeer: () => caller.peer,
    getAuthContext: () => (caller.certificate === undefined ? {} : { sslPeerCertificate: { raw: caller.certificate } }),
    welcome() {
      if (!isKnown && !stream.destroyed) onWelcome()
      isKnown = true
    },
  }
  // A caller that leaves ends its stream, and nothing waits for it.
  stream.on('error', () => {})
  stream.resume()
  const answer = ({ status, body }: Downloaded): void => {
    if (stream.destroyed || stream.closed) return
    stream.respond({ ':status': status, ...(body === undefined ? {} : { 'content-type': 'application/octet-stream', 'content-length': body.length }) })
    stream.end(body)
  }
  download.answer(side, (headers[':path'] ?? '').slice(download.path.length)).then(answer, () => answer({ status: 500 }))
}
