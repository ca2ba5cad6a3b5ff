/**
 * Prometheus text of several threads as one: series of the same name and labels are added up, which is right for counters, for histograms' buckets and for gauges that count things.
 * What comes first keeps its place.
 */
export function mergeMetrics(texts: readonly string[]): string {
  const [only] = texts
  if (texts.length === 1 && only !== undefined) return only
  const values = new Map<string, number>()
  const comments = new Set<string>()
  /** A name's series stand together, below its comments, as the format wants it. */
  const families = new Map<string, string[]>()
  let family = ''
  for (const line of texts.flatMap((text) => text.split('\n'))) {
    if (line === '') continue
    if (line.startsWith('#')) {
      family = line.split(' ', 3)[2] ?? ''
      comments.add(line)
      if (!families.has(family)) families.set(family, [])
      if (!families.get(family)?.includes(line)) families.get(family)?.push(line)
      continue
    }
    const space = line.lastIndexOf(' ')
    const series = line.slice(0, space)
    const known = values.get(series)
    values.set(series, (known ?? 0) + Number(line.slice(space + 1)))
    if (known === undefined) families.get(family)?.push(series)
  }
  let text = ''
  for (const lines of families.values()) for (const line of lines) text += comments.has(line) ? `${line}\n` : `${line} ${values.get(line)}\n`
  return text
}
