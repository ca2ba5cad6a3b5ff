import type { ResourceKind } from '#core/resource/kind.ts'
import { readTargets } from './kinds.ts'
import { UsageError } from './usage.ts'

/** An object as REST names it. */
export interface ObjectKey {
  readonly group: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
}

/** The one object that `KIND NAME` or `KIND/NAME` means. */
export function targetNamed(words: readonly string[], namespace: string | undefined): { readonly kind: ResourceKind; readonly key: ObjectKey } {
  const [target, ...more] = readTargets(words)
  const [name, ...others] = target?.names ?? []
  if (target === undefined || name === undefined || others.length > 0 || more.length > 0) throw new UsageError('name one object: KIND/NAME')
  return { kind: target.kind, key: { group: target.kind.group, kind: target.kind.kind, namespace: target.kind.namespaced ? (namespace ?? 'default') : '', name } }
}

export const keyNamed = (words: readonly string[], namespace: string | undefined): Readonly<Record<string, string>> => ({ ...targetNamed(words, namespace).key })
