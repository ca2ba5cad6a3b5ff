/** A path without one of its query parameters, by name; what is left stands as it stood. */
export function withoutParameter(path: string, name: string): string {
  const query = path.indexOf('?')
  if (query < 0) return path
  const kept = path.slice(query + 1).split('&').filter((one) => one !== name && !one.startsWith(`${name}=`))
  return kept.length === 0 ? path.slice(0, query) : `${path.slice(0, query)}?${kept.join('&')}`
}

/** First value of a query parameter, as it stands (Envoy does not decode here); empty when it has no `=`, undefined when it is not there. */
export function queryParameter(path: string, name: string): string | undefined {
  let from = path.indexOf('?') + 1
  if (from === 0) return undefined
  while (from < path.length) {
    let to = path.indexOf('&', from)
    if (to < 0) to = path.length
    if (path.startsWith(name, from)) {
      const after = from + name.length
      if (after === to) return ''
      if (path.charCodeAt(after) === 61 /* = */) return path.slice(after + 1, to)
    }
    from = to + 1
  }
  return undefined
}
