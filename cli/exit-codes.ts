/** What a script may rely on; `docs/reference` and the contract list the same. */
export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  notAuthorised: 3,
  notFound: 4,
  conflict: 5,
  timedOut: 6,
  findings: 79,
} as const

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]
