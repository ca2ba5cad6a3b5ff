import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { ResourceKind } from '#core/resource/kind.ts'
import { kinds } from '#core/resource/registry.ts'
import { schemaFields } from '#core/resource/schema-walk.ts'

const CASES = join(import.meta.dirname, '../../api/translate/cases')

/** By kind and path of `schemaFields`: the golden cases whose requests are played on every engine and would fail if the field did nothing. */
export interface Proofs {
  casesOf(kind: ResourceKind, path: string): readonly string[]
  /** What cases claim to prove and no kind has, `CASE: KIND PATH`. */
  readonly unknown: readonly string[]
}

/** Reads `proves` of each `case.yaml` that has requests beside it: `KIND PATH`, Istio's kind where the Gateway API has one of that name. */
export function readProofs(): Proofs {
  const found = new Map<string, string[]>()
  const unknown: string[] = []
  for (const name of readdirSync(CASES).sort()) {
    if (!existsSync(join(CASES, name, 'requests.yaml'))) continue
    const { proves = [] } = parse(readFileSync(join(CASES, name, 'case.yaml'), 'utf8')) as { readonly proves?: readonly string[] }
    for (const claim of proves) {
      const [word = '', path = ''] = claim.split(' ')
      const kind = kinds.find((one) => one.kind === word && one.group !== 'gateway.networking.k8s.io')
      if (kind === undefined || ![...schemaFields(kind.fields)].some((one) => one.path === path)) unknown.push(`${name}: ${claim}`)
      else found.set(keyOf(kind, path), [...(found.get(keyOf(kind, path)) ?? []), name])
    }
  }
  return { casesOf: (kind, path) => found.get(keyOf(kind, path)) ?? [], unknown }
}

const keyOf = ({ group, kind }: Pick<ResourceKind, 'group' | 'kind'>, path: string): string => `${group}/${kind} ${path}`
