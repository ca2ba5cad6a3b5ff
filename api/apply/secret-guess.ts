import type { ResourceKind } from '#core/resource/kind.ts'
import { HIDDEN } from '#core/resource/redact.ts'
import type { ApplyOutcome } from '#db/store.ts'
import type { Admitted } from './apply.ts'

/** Whether a proposed object brings values of its own for what is never shown: one that was read and comes back has placeholders there. */
function bringsValues(kind: ResourceKind, value: unknown): boolean {
  if (value === null || typeof value !== 'object') return false
  const fields = value as Readonly<Record<string, unknown>>
  return kind.secretFields.some((name) => {
    const values = fields[name]
    return values !== null && typeof values === 'object' && Object.values(values).some((one) => one !== HIDDEN)
  })
}

/**
 * The outcome of a dry run as it would be if every value that was brought for a Secret were a new one. Who may write may not read:
 * a dry run that said "unchanged", or counted no generation, would tell whether a guess was right, as often as one likes and without a trace in the object.
 */
export function withoutVerdicts(outcome: ApplyOutcome, admitted: readonly Admitted[]): ApplyOutcome {
  const guessed = new Set(admitted.filter(({ kind, proposal }) => bringsValues(kind, proposal.value)).map(({ key }) => JSON.stringify(key)))
  if (guessed.size === 0) return outcome
  const isGuess = ({ key, verdict }: ApplyOutcome['results'][number]): boolean => (verdict === 'unchanged' || verdict === 'configured') && guessed.has(JSON.stringify(key))
  const changes = outcome.results.some(({ verdict }) => verdict !== 'unchanged' && verdict !== 'absent')
  const revision = changes || !outcome.results.some(isGuess) ? outcome.revision : outcome.revision + 1
  return {
    ...outcome,
    revision,
    results: outcome.results.map((result) => {
      if (!isGuess(result) || result.stored === undefined) return result
      const { before, stored } = result
      return { ...result, verdict: 'configured', stored: { ...stored, revision, generation: (before?.generation ?? stored.generation) + 1 } }
    }),
  }
}
