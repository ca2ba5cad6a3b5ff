import type { ExplainResponse } from '#core/contract/explain.ts'
import type { Origin } from '#core/plan/origin.ts'
import type { Places } from './offline.ts'

type Told = Pick<ExplainResponse, 'outcome' | 'why' | 'steps'> & { readonly status?: number | undefined; readonly by?: Origin | undefined }

/** A line a step: every rule that was tried, with its object and field and, where files were read, file and line. */
export function stepLines({ steps }: { readonly steps: readonly (Omit<ExplainResponse['steps'][number], 'origin'> & { readonly origin?: Origin | undefined })[] }, places: Places): string[] {
  const rows = steps.map((step) => [step.side === 'client' ? 'caller' : 'callee', step.kind, `${step.matched ? '+' : '-'} ${step.words}`, step.origin === undefined ? '' : placeOf(step.origin, places)])
  const widths = [0, 1, 2].map((column) => Math.min(96, Math.max(0, ...rows.map((row) => row[column]?.length ?? 0))))
  return rows.map((row) => row.map((cell, column) => (column < 3 ? cell.padEnd(widths[column] ?? 0) : cell)).join('  ').trimEnd())
}

/** What became of it, by what, and why. */
export function sentence({ outcome, status, by, why }: Omit<Told, 'steps'>, places: Places): string {
  const decided = by === undefined ? '' : `, by ${placeOf(by, places)}`
  return `${outcome}${status === undefined ? '' : ` ${status}`}${decided}: ${why}`
}

/** `VirtualService/prod/order-service http[0] (orders.yaml:12)` */
function placeOf(origin: Origin, places: Places): string {
  const place = places.get(origin.resource)
  const field = origin.field === '' ? '' : ` ${origin.field}`
  return `${origin.resource}${field}${place === undefined ? '' : ` (${place.file}:${place.lineOf(origin.field === '' ? 'metadata.name' : `spec.${origin.field}`)})`}`
}
