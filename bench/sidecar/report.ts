import { writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { median } from './measure.ts'

/** How often better than a peer in the same rounds: peer by own where less is better, own by peer where more is. */
export interface Beside {
  readonly peer: string
  /** Median of the rounds. */
  readonly ratio: number
  readonly lowest: number
  readonly highest: number
  readonly goal?: number
  readonly met?: boolean
}

export interface Figure {
  readonly work: string
  readonly subject: string
  readonly measure: string
  readonly unit: string
  /** Median of the rounds. */
  readonly value: number
  readonly besides: readonly Beside[]
  /** At most so much, in the same unit. */
  readonly limit?: number
  readonly met?: boolean
}

/** `subject` shall be so often better than `peer`. */
export interface Goal {
  readonly subject: string
  readonly peer: string
  readonly ratio: number
}

export interface Measure {
  readonly work: string
  /** As `CPU per request`. */
  readonly name: string
  readonly unit: string
  readonly better: 'less' | 'more'
  /** Of each subject, one value a round. */
  readonly samples: ReadonlyMap<string, readonly number[]>
  readonly goals?: readonly Goal[]
  /** For subjects of Weft, in the measure's unit. */
  readonly limit?: number
  /** Who stands beside whom; by default the peers beside Weft. */
  readonly besides?: (subject: string) => readonly string[]
}

/** Prints figures as they come, and keeps them for a file. */
export class Report {
  readonly figures: Figure[] = []
  /** What must be known beside the figures, as a rate that was not reached; with the row that it belongs to. */
  readonly notes: string[] = []
  #title = ''

  title(text: string): void {
    this.#title = text
    console.log(`\n${text}`)
  }

  note(text: string): void {
    this.notes.push(`${this.#title}: ${text}`)
    console.log(`  ${text}`)
  }

  /** A line for each subject. */
  measure(measure: Measure): void {
    const { samples, unit } = measure
    const peers = [...samples.keys()].filter((name) => !isWeft(name))
    const width = Math.max(8, ...[...samples.keys()].map((name) => name.length))
    for (const [subject, own] of samples) {
      if (own.length === 0) continue
      const besides = (measure.besides?.(subject) ?? (isWeft(subject) ? peers : [])).flatMap((peer): Beside[] => {
        const theirs = samples.get(peer) ?? []
        const each = own.map((value, round) => (measure.better === 'less' ? (theirs[round] ?? Number.NaN) / value : value / (theirs[round] ?? Number.NaN))).filter(Number.isFinite)
        if (each.length === 0) return []
        const ratio = median(each)
        const goal = measure.goals?.find((one) => one.subject === subject && one.peer === peer)?.ratio
        return [{ peer, ratio, lowest: Math.min(...each), highest: Math.max(...each), ...(goal !== undefined && { goal, met: ratio >= goal }) }]
      })
      const value = median(own)
      const limit = isWeft(subject) ? measure.limit : undefined
      this.figures.push({ work: measure.work, subject, measure: measure.name, unit, value, besides, ...(limit !== undefined && { limit, met: value <= limit }) })
      const ratios = besides.map(({ peer, ratio, lowest, highest, goal, met }) => `  ${ratio.toFixed(2)}× ${peer} (${lowest.toFixed(2)}..${highest.toFixed(2)})${goal === undefined ? '' : `, goal ≥ ${goal}× ${mark(met)}`}`)
      if (limit !== undefined) ratios.push(`  goal ≤ ${limit} ${unit} ${mark(value <= limit)}`)
      console.log(`  ${subject.padEnd(width)} ${digits(value).padStart(8)} ${unit} ${measure.name}${ratios.join('')}`)
    }
  }

  /** All figures, with what the machine was doing by then. */
  save(file: string): void {
    writeFileSync(file, `${JSON.stringify({ node: process.version, loadAverage: loadavg(), notes: this.notes, figures: this.figures }, null, 2)}\n`)
  }
}

const isWeft = (subject: string): boolean => subject.startsWith('weft')
const mark = (met: boolean | undefined): string => (met === true ? '✓' : '✗')
const digits = (value: number): string => (value >= 1000 ? Math.round(value).toString() : value.toFixed(1))

/** An empty list for each subject. */
export const samplesOf = (subjects: readonly { readonly name: string }[]): Map<string, number[]> => new Map(subjects.map(({ name }) => [name, []]))
