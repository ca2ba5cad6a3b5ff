export type Labels = Readonly<Record<string, string>>

/** Whether `labels` bear all of `selector`. An empty selector selects all. */
export function selects(selector: Labels | undefined, labels: Labels): boolean {
  for (const name in selector) if (labels[name] !== selector[name]) return false
  return true
}

export const labelPair = (name: string, value: string): string => `${name}=${value}`

/** The pair under which a selector is filed: whoever it selects bears that label too. Empty for the empty selector. */
export function filingPair(selector: Labels | undefined): string {
  const first = Object.keys(selector ?? {}).sort()[0]
  return first === undefined ? '' : labelPair(first, selector?.[first] ?? '')
}
