/** Our own sidecar, by its user agent: it puts a cluster in force with the endpoints that it has, and waits by itself for the last part of an answer. */
export const ownEngine = 'weft'
