import { status } from '@grpc/grpc-js'
import type { MethodDefinition } from '#core/wire/grpc.ts'
import type { CallerSide } from '../credentials.ts'
import type { ServerCall } from './server-call.ts'

/** A method of a service: where it is, and what a call of it does. */
export interface GrpcMethod {
  /** `/package.Service/Method` */
  readonly path: string
  open(call: ServerCall): void
}

/** How a call ended. */
export interface CallEnd {
  readonly code: status
  readonly details: string
}

export interface UnaryCall<Request> extends CallerSide {
  readonly request: Request
}

/** Ends a unary call: with a status, or with its response. */
export type UnaryAnswer<Response> = (end: CallEnd | null, response?: Response) => void

/** A call with messages both ways, read and written as what the method says they are. */
export interface DuplexCall<Request, Response> extends CallerSide {
  onRequest(listener: (request: Request) => void): void
  onEnd(listener: () => void): void
  onCancelled(listener: () => void): void
  pause(): void
  resume(): void
  write(response: Response): boolean
  end(): void
  fail(code: status, details: string): void
}

/** A method that takes one message and answers one. */
export function unary<Request, Response>(definition: MethodDefinition<Request, Response, Buffer>, handle: (call: UnaryCall<Request>, answer: UnaryAnswer<Response>) => void): GrpcMethod {
  return {
    path: definition.path,
    open(call) {
      let request: Buffer | undefined
      call.onMessage((message) => {
        if (request !== undefined) call.fail(status.UNIMPLEMENTED, 'a unary call has one message')
        request = message
      })
      call.onEnd(() => {
        if (request === undefined) {
          call.fail(status.UNIMPLEMENTED, 'a unary call has one message')
          return
        }
        const read = readAs(definition, request, call)
        if (read === undefined) return
        const answer: UnaryAnswer<Response> = (end, response) => {
          if (end) call.fail(end.code, end.details)
          else if (response === undefined) call.fail(status.INTERNAL, 'there is no response')
          else {
            call.write(definition.responseSerialize(response))
            call.end()
          }
        }
        handle({ request: read.request, metadata: call.metadata, getPeer: () => call.getPeer(), getAuthContext: () => call.getAuthContext() }, answer)
      })
    },
  }
}

/** A method with a stream of messages each way. */
export function duplex<Request, Response>(definition: MethodDefinition<Request, Response, Buffer>, handle: (call: DuplexCall<Request, Response>) => void): GrpcMethod {
  return {
    path: definition.path,
    open(call) {
      handle({
        metadata: call.metadata,
        getPeer: () => call.getPeer(),
        getAuthContext: () => call.getAuthContext(),
        onRequest: (listener) =>
          call.onMessage((message) => {
            const read = readAs(definition, message, call)
            if (read) listener(read.request)
          }),
        onEnd: (listener) => call.onEnd(listener),
        onCancelled: (listener) => call.onCancelled(listener),
        pause: () => call.pause(),
        resume: () => call.resume(),
        write: (response) => call.write(definition.responseSerialize(response)),
        end: () => call.end(),
        fail: (code, details) => call.fail(code, details),
      })
    },
  }
}

function readAs<Request, Response>(definition: MethodDefinition<Request, Response, Buffer>, message: Buffer, call: ServerCall): { readonly request: Request } | undefined {
  try {
    return { request: definition.requestDeserialize(message) }
  } catch (raised) {
    call.fail(status.INTERNAL, `the message cannot be read: ${raised instanceof Error ? raised.message : String(raised)}`)
    return undefined
  }
}
