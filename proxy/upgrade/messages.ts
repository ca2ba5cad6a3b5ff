/**
 * What a proxy and the process that comes after it say to each other, over the channel that Node opens between a process and its child. Sockets travel beside `socket`.
 * A version of Weft talks here with a later one: words are added and never changed.
 */

/** What is handed over, from one to the next: */
export type Given =
  /** who the proxy is, so that the successor needs no join token of its own (the channel is a socket pair that no other process can read), */
  | { readonly kind: 'identity'; readonly chain: readonly string[]; readonly keyPem: string }
  /** a listening socket, */
  | { readonly kind: 'socket'; readonly key: string }
  /** and this was all. */
  | { readonly kind: 'all-given' }

/** Handed over when it is asked for: */
export type GivenThreads =
  /** a listening socket of a thread beside the main one, */
  | { readonly kind: 'thread-socket'; readonly key: string }
  /** and this was all of them. */
  | { readonly kind: 'threads-given' }

export type ToSuccessor =
  | Given
  /** A successor in its turn gives all back, for one that follows it. */
  | { readonly kind: 'give' }
  | GivenThreads
  | { readonly kind: 'give-threads' }
  | { readonly kind: 'leave-inbound'; readonly withinMs: number }
  /** Drain and end: another serves. */
  | { readonly kind: 'retire' }

export type ToPredecessor =
  | Given
  | GivenThreads
  /** It can take the sockets of threads, and give its own. */
  | { readonly kind: 'give-threads' }
  /** Its first full configuration is in force and every port is listened on. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'left-inbound' }

/** Tells a child that it is a successor; its value, what the process before it can give. */
export const SUCCESSOR_VARIABLE = 'WEFT_SUCCESSOR'
export const GIVES_THREADS = '2'
