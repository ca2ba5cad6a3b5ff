/** Values at which rules and readers end: each is one that some schema takes. */
export const EDGES: readonly unknown[] = [0, -1, 1, 0.5, 2 ** 31 - 1, 2 ** 32 - 1, 2 ** 32, 1e12, '', '*', 'a', 'x'.repeat(300), 'ä', 'a b', 'a\nb', '0s', '1ns', '100000h', '0', '-1', '::1', '10.0.0.0/8', '0.0.0.0', '*.example.com', '%REQ(x)%', '[', '(.*)']

/** A copy with another value at its nth leaf, counted round and round. */
export function withLeaf<T>(value: T, nth: number, edge: unknown): T {
  const paths = [...leaves(value, [])]
  const path = paths[nth % Math.max(1, paths.length)]
  return path === undefined ? value : (replaced(value, path, edge) as T)
}

type Path = readonly string[]

function* leaves(value: unknown, path: Path): Iterable<Path> {
  if (value === null || typeof value !== 'object') yield path
  else for (const [name, one] of Object.entries(value)) yield* leaves(one, [...path, name])
}

function replaced(value: unknown, [step, ...rest]: Path, edge: unknown): unknown {
  if (step === undefined) return edge
  if (Array.isArray(value)) return value.map((one: unknown, index) => (String(index) === step ? replaced(one, rest, edge) : one))
  return Object.fromEntries(Object.entries(value as object).map(([name, one]) => [name, name === step ? replaced(one, rest, edge) : (one as unknown)]))
}
