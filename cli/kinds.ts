import { kinds } from '#core/resource/registry.ts'
import type { ResourceKind } from '#core/resource/kind.ts'
import { UsageError } from './usage.ts'

/** The kind that a word on the command line means: kind, plural, singular, short name, with or without its group. */
function kindNamed(word: string): ResourceKind {
  const wanted = word.toLowerCase()
  const found = kinds.find((kind) => {
    const names = [kind.kind.toLowerCase(), kind.plural, kind.singular, ...kind.shortNames]
    return names.some((name) => wanted === name || (kind.group !== '' && wanted === `${name}.${kind.group}`))
  })
  if (!found) throw new UsageError(`there is no kind ${JSON.stringify(word)}; there are ${kinds.map((kind) => kind.plural).join(', ')}`)
  return found
}

/** `KIND NAME…` or `KIND/NAME …`, as kubectl takes it. */
export function readTargets(words: readonly string[]): { kind: ResourceKind; names: string[] }[] {
  const [first, ...rest] = words
  if (first === undefined) throw new UsageError('name a kind: weft get virtualservices')
  if (!first.includes('/')) return [{ kind: kindNamed(first), names: rest }]
  return words.map((word) => {
    const [kind = '', name = ''] = word.split('/')
    if (name === '') throw new UsageError(`${JSON.stringify(word)} is not KIND/NAME`)
    return { kind: kindNamed(kind), names: [name] }
  })
}

export const kindPath = (kind: ResourceKind): string => (kind.group === '' ? `/api/${kind.versions[0]}` : `/apis/${kind.group}/${kind.versions[0]}`)
