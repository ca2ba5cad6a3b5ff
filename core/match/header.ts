import type { RequestHead } from '../route/request.ts'

/** One header or pseudo-header by its lower-case name. `host` is `:authority`, as in Envoy. */
export function readHeader(request: RequestHead, name: string): string | undefined {
  // Pseudo-headers are few; the first character tells them from the rest.
  if (name.charCodeAt(0) === 58 /* : */) {
    switch (name) {
      case ':method':
        return request.method
      case ':authority':
        return request.authority
      case ':path':
        return request.path
      case ':scheme':
        return request.scheme
    }
  }
  return name === 'host' ? request.authority : request.header(name)
}
