/** More threads than this are no help to a proxy. */
export const CONCURRENCY_MAX = 64
