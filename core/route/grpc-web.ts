import type { HttpPlan } from '../plan/http.ts'
import type { HeaderOperations, Route } from '../plan/route.ts'
import type { RequestHead } from './request.ts'

/**
 * gRPC-Web: gRPC for clients that see no trailers (grpc/grpc doc/PROTOCOL-WEB.md). As Envoy's filter has it (envoy.filters.http.grpc_web): types by their exact words, those of protobuf alone.
 */
export type WebForm = 'binary' | 'text'

const FORMS: ReadonlyMap<string, WebForm> = new Map([['application/grpc-web', 'binary'], ['application/grpc-web+proto', 'binary'], ['application/grpc-web-text', 'text'], ['application/grpc-web-text+proto', 'text']])

/** What a Content-Type or an Accept asks for; undefined: no gRPC-Web. */
export const webForm = (type: string | undefined): WebForm | undefined => (type === undefined ? undefined : FORMS.get(type))

/** Whether what a route takes is translated. */
export const translatesGrpcWeb = (http: HttpPlan, route: Route | undefined): boolean => http.filters.some((one) => one.kind === 'grpc-web' && (route?.grpcWeb ?? one.byDefault))

/** What becomes of a call's headers as it goes on as gRPC. Its length was that of what it was written as. */
export const asGrpcHeaders = (request: Pick<RequestHead, 'header'>): HeaderOperations => ({
  set: [{ name: 'content-type', value: 'application/grpc' }, { name: 'te', value: 'trailers' }, ...(request.header('grpc-accept-encoding') === undefined ? [{ name: 'grpc-accept-encoding', value: 'identity' }] : [])],
  add: [],
  remove: ['content-length'],
})
