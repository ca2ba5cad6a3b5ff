import type { Resource } from './resource.ts'

/** Names are made of these; a name within a longer one is not named. */
const isNamePart = (character: string | undefined): boolean => character !== undefined && /[\w|.:/-]/.test(character)

function mentions(words: string, name: string): boolean {
  if (name === '') return false
  for (let at = words.indexOf(name); at !== -1; at = words.indexOf(name, at + 1)) {
    const before = words[at - 1]
    const after = words[at + name.length]
    // A full stop or colon after a name may end a sentence or a clause; it is part of a longer name only when that goes on.
    const goesOn = isNamePart(after) && !((after === '.' || after === ':') && !isNamePart(words[at + name.length + 1]))
    if (!isNamePart(before) && !goesOn) return true
  }
  return false
}

/** The resources of a refused response that the client's words name; all of them when it names none. */
export function namedIn(words: string, resources: readonly Resource[]): readonly Resource[] {
  const named = resources.filter((resource) => mentions(words, resource.name))
  return named.length > 0 ? named : resources
}
