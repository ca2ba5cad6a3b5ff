import type { Headers } from '#core/resource/virtual-service-http.ts'
import type { HeaderValueOption } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import { headerValue } from './message.ts'

export interface HeaderChanges {
  readonly requestHeadersToAdd: HeaderValueOption[]
  readonly requestHeadersToRemove: string[]
  readonly responseHeadersToAdd: HeaderValueOption[]
  readonly responseHeadersToRemove: string[]
  /** A new :authority, which Envoy takes as a rewrite of the host and not as a header. */
  readonly authority: string | undefined
}

/** VirtualService `headers` as Envoy's lists: set before add, each in order of name. */
export function headerChanges(headers: Headers | undefined): HeaderChanges {
  const request = headers?.request
  const response = headers?.response
  const authority = Object.entries(request?.set ?? {}).find(([name]) => isAuthority(name))?.[1]
  return {
    requestHeadersToAdd: [...values(request?.set, 'set'), ...values(request?.add, 'add')],
    requestHeadersToRemove: [...(request?.remove ?? [])],
    responseHeadersToAdd: [...values(response?.set, 'set'), ...values(response?.add, 'add')],
    responseHeadersToRemove: [...(response?.remove ?? [])],
    authority,
  }
}

const isAuthority = (name: string): boolean => name.toLowerCase() === 'host' || name.toLowerCase() === ':authority'

const values = (of: Readonly<Record<string, string>> | undefined, how: 'set' | 'add'): HeaderValueOption[] =>
  Object.entries(of ?? {})
    .filter(([name]) => !isAuthority(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => headerValue(name, value, how))
