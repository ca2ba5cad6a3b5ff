/** A thing that could not be patched, in words. */
class PatchError extends Error {}

/**
 * A list with an operation done to it. Entries that match are merged, replaced, removed or have the new one beside them; without any to stand beside, INSERT_BEFORE and INSERT_AFTER do nothing, as in Istio.
 * `merge` answers an entry with the patch's value in it, `make` the value as an entry, `addAt` where ADD puts it: by default at the end.
 * @throws PatchError when the list cannot take the operation
 */
export function patchList<T>(
  list: readonly T[],
  operation: string,
  how: { readonly matches: (one: T) => boolean; readonly isBound: boolean; readonly merge: (one: T) => T; readonly make: () => T; readonly addAt?: (list: readonly T[]) => number },
): T[] {
  const { matches, merge, make } = how
  switch (operation) {
    case 'MERGE':
    case 'MERGE_AND_REPLACE_LIST':
      return list.map((one) => (matches(one) ? merge(one) : one))
    case 'REPLACE':
      return list.map((one) => (matches(one) ? make() : one))
    case 'REMOVE':
      return list.filter((one) => !matches(one))
    case 'ADD':
      return insert(list, how.addAt?.(list) ?? list.length, make())
    case 'INSERT_FIRST':
      return [make(), ...list]
    case 'INSERT_BEFORE':
    case 'INSERT_AFTER': {
      // Without an entry named, before is the beginning and after the end.
      if (!how.isBound) return operation === 'INSERT_BEFORE' ? [make(), ...list] : insert(list, how.addAt?.(list) ?? list.length, make())
      const at = list.findIndex(matches)
      return at < 0 ? [...list] : insert(list, operation === 'INSERT_BEFORE' ? at : at + 1, make())
    }
    default:
      throw new PatchError(`an operation that can be done here, which ${operation} is not`)
  }
}

const insert = <T>(list: readonly T[], at: number, one: T): T[] => [...list.slice(0, at), one, ...list.slice(at)]
