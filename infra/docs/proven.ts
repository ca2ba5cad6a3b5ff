import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { ResourceKind } from '#core/resource/kind.ts'
import { kinds } from '#core/resource/registry.ts'
import { schemaFields } from '#core/resource/schema-walk.ts'
import { testedFields } from './tested-fields.ts'

const CASES = join(import.meta.dirname, '../../api/translate/cases')

/** By kind and path of `schemaFields`: the golden cases whose requests are played on every engine and would fail if the field did nothing. */
export interface Proofs {
  /** Names of cases, and files of tests. */
  casesOf(kind: ResourceKind, path: string): readonly string[]
  /** What cases claim to prove and no kind has, `CASE: KIND PATH`. */
  readonly unknown: readonly string[]
}

/** Reads `proves` of each `case.yaml` that has requests beside it, and what other tests prove: `KIND PATH`; of two kinds of one name it is the one that has the field, Istio's where both do. */
export function readProofs(): Proofs {
  const found = new Map<string, string[]>()
  const unknown: string[] = []
  const claims = readdirSync(CASES)
    .sort()
    .filter((name) => existsSync(join(CASES, name, 'requests.yaml')))
    .map((name): readonly [string, readonly string[]] => [name, (parse(readFileSync(join(CASES, name, 'case.yaml'), 'utf8')) as { readonly proves?: readonly string[] }).proves ?? []])
  for (const [name, proves] of [...claims, ...Object.entries(testedFields)]) {
    for (const claim of proves) {
      const [word = '', path = ''] = claim.split(' ')
      const named = kinds.filter((one) => one.kind === word && [...schemaFields(one.fields)].some((field) => field.path === path))
      const kind = named.find((one) => one.group !== 'gateway.networking.k8s.io') ?? named[0]
      if (kind === undefined) unknown.push(`${name}: ${claim}`)
      else found.set(keyOf(kind, path), [...(found.get(keyOf(kind, path)) ?? []), name])
    }
  }
  const own = (kind: ResourceKind, path: string): readonly string[] => found.get(keyOf(kind, path)) ?? []
  return { casesOf: (kind, path) => (own(kind, path).length > 0 ? own(kind, path) : inBlock(path, (one) => own(kind, one))), unknown }
}

/** The places of a DestinationRule where the settings of `spec.trafficPolicy` may stand again, block by block. */
export const BLOCK = /^(spec\.(?:subsets\[\]\.trafficPolicy|trafficPolicy)(?:\.portLevelSettings\[\])?)\.(\w+)(.+)$/

/** A block is taken whole from where it stands, and read the same there: its fields are proven by a case that proves the block there, and one that proves the field. */
function inBlock(path: string, casesOf: (path: string) => readonly string[]): readonly string[] {
  const [, place = '', block = '', rest = ''] = BLOCK.exec(path) ?? []
  if (place === '' || place === 'spec.trafficPolicy') return []
  const ofBlock = casesOf(`${place}.${block}`)
  const ofField = casesOf(`spec.trafficPolicy.${block}${rest}`)
  return ofBlock.length === 0 || ofField.length === 0 ? [] : [...new Set([...ofBlock, ...ofField])]
}

const keyOf = ({ group, kind }: Pick<ResourceKind, 'group' | 'kind'>, path: string): string => `${group}/${kind} ${path}`
