/** Scopes that one function remembers: two generations of so many, or of so many characters of their text. */
const keptMax = 512
const keptCharactersMax = 4 << 20

/**
 * Remembers what a pure function made of a scope, by all that the scope says: what differs in nothing that is looked at is made once, as for workloads that have other labels and the same policies.
 * What comes of it is the very same object for equal scopes, so whoever sends it sends the same bytes. What was not asked for in a while is forgotten.
 */
export function onceFor<Scope extends object, Made>(make: (scope: Scope) => Made): (scope: Scope) => Made {
  let recent = new Map<string, Made>()
  let before = new Map<string, Made>()
  let characters = 0
  return (scope) => {
    const key = JSON.stringify(scope, wholeMaps)
    const known = recent.get(key)
    if (known !== undefined) return known
    const made = before.get(key) ?? make(scope)
    if (recent.size >= keptMax || characters > keptCharactersMax) {
      before = recent
      recent = new Map()
      characters = 0
    }
    recent.set(key, made)
    characters += key.length
    return made
  }
}

const wholeMaps = (_name: string, value: unknown): unknown => (value instanceof Map ? [...value] : value)
