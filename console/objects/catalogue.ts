import { type ResourceObject, objectName } from '#core/resource/object.ts'

export interface Wanted {
  readonly kind: string
  readonly namespace: string
  readonly text: string
}

export const everything: Wanted = { kind: '', namespace: '', text: '' }

/** Objects that are wanted, by kind, namespace and name. All words of the text must appear in the object's name or labels. */
export function chooseObjects(objects: readonly ResourceObject[], wanted: Wanted): ResourceObject[] {
  const words = wanted.text.toLowerCase().split(/\s+/).filter((word) => word !== '')
  return objects
    .filter((object) => wanted.kind === '' || object.kind === wanted.kind)
    .filter((object) => wanted.namespace === '' || (object.metadata.namespace ?? '') === wanted.namespace)
    .filter((object) => {
      const text = `${objectName(object)} ${Object.entries(object.metadata.labels ?? {}).map(([label, value]) => `${label}=${value}`).join(' ')}`.toLowerCase()
      return words.every((word) => text.includes(word))
    })
    .sort((one, other) => one.kind.localeCompare(other.kind) || objectName(one).localeCompare(objectName(other)))
}

/** What can be chosen, with how many there are of each. */
export function countBy(objects: readonly ResourceObject[], of: (object: ResourceObject) => string): [string, number][] {
  const counts = new Map<string, number>()
  for (const object of objects) counts.set(of(object), (counts.get(of(object)) ?? 0) + 1)
  return [...counts].filter(([name]) => name !== '').sort(([one], [other]) => one.localeCompare(other))
}
