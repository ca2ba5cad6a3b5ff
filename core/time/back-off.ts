/**
 * Milliseconds before try `attempt` (0-based) is repeated: doubling from `baseMs` to `maxMs`, and a draw from half of that to all of it,
 * so that proxies that failed together do not return together.
 */
export function backOffMs(attempt: number, draw: number, baseMs: number, maxMs: number): number {
  const full = Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30))
  return full / 2 + (full / 2) * draw
}
