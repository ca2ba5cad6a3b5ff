/** How an amount of errors looks. */
export type Tone = 'good' | 'warn' | 'bad' | 'quiet'

const warnShare = 0.01
export const badShare = 0.05

export function toneOf(flow: { requestsPerSecond: number; errorShare: number }): Tone {
  if (flow.requestsPerSecond <= 0) return 'quiet'
  if (flow.errorShare >= badShare) return 'bad'
  return flow.errorShare >= warnShare ? 'warn' : 'good'
}

/** `closed`: every request of the window travelled over mutual TLS, by the handshake. `open`: some or none did. `unknown`: nothing reported it, so nothing is shown. */
export type Lock = 'closed' | 'open' | 'unknown'

export function lockOf(mutualTlsShare: number | null): Lock {
  if (mutualTlsShare === null) return 'unknown'
  return mutualTlsShare >= 1 ? 'closed' : 'open'
}
