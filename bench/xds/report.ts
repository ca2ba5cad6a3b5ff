import type { Measured } from '../xds.ts'
import { recordedOf } from './recorded.ts'
import type { Start } from './start.ts'

/** How long nothing is done, to see what that costs. */
export const IDLE_SECONDS = 10

/** Median, least and most of several rounds. */
export interface Spread {
  readonly median: number
  readonly least: number
  readonly most: number
}

export interface EventFigures {
  readonly event: string
  readonly rounds: number
  /** Streams that got anything; for a connect, those that have everything. */
  readonly concerned: number
  readonly configured: number
  readonly cpuSeconds: Spread
  readonly bytesAStream: Spread
  readonly bytesUpAStream: Spread
  readonly messages: Spread
  readonly firstByteMs: Spread
  readonly ackMs: { readonly p50: Spread; readonly p99: Spread; readonly max: Spread }
  readonly rssMiB: number
  readonly rssPeakMiB: number
  readonly heapMiB: number
  /** 0 where it was not looked for. */
  readonly longestTurnMs: number
}

export interface SizeFigures {
  readonly services: number
  readonly streams: number
  readonly tls: boolean
  readonly meshes: number
  readonly loadCpuSeconds: number
  /** With the meshes in memory, and nobody connected. */
  readonly rssLoadedMiB: number
  readonly events: readonly EventFigures[]
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? 0
  const median = sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? 0)) / 2
  return { median, least: sorted[0] ?? 0, most: sorted.at(-1) ?? 0 }
}

export function eventFigures(event: string, rounds: readonly Measured[]): EventFigures {
  const spread = (of: (round: Measured) => number): Spread => spreadOf(rounds.map(of))
  const last = rounds.at(-1)
  return {
    event,
    rounds: rounds.length,
    concerned: last?.seen.concerned ?? 0,
    configured: last?.configured ?? 0,
    cpuSeconds: spread((round) => round.cost.cpuSeconds),
    bytesAStream: spread((round) => round.seen.bytesDown / Math.max(1, round.seen.concerned)),
    bytesUpAStream: spread((round) => round.seen.bytesUp / Math.max(1, round.seen.concerned)),
    messages: spread((round) => round.seen.messages),
    firstByteMs: spread((round) => round.seen.firstByteMs),
    ackMs: { p50: spread((round) => round.seen.ackMs.p50), p99: spread((round) => round.seen.ackMs.p99), max: spread((round) => round.seen.ackMs.max) },
    rssMiB: last?.cost.rssMiB ?? 0,
    rssPeakMiB: last?.cost.rssPeakMiB ?? 0,
    heapMiB: last?.cost.heapMiB ?? 0,
    longestTurnMs: Math.max(0, ...rounds.map((round) => round.cost.longestTurnMs)),
  }
}

const number = (value: number): string => (value === 0 ? '0' : value >= 100 ? Math.round(value).toLocaleString('en') : value >= 10 ? value.toFixed(1) : value >= 1 ? value.toFixed(2) : value.toFixed(4))

const ranged = ({ median, least, most }: Spread): string => (least === most ? number(median) : `${number(median)} (${number(least)}–${number(most)})`)

/** Rows of text in columns as wide as their widest cell. */
function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)))
  return rows.map((row) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  ').trimEnd()).join('\n')
}

export function sizeTable(figures: SizeFigures): string {
  const { services, streams, events } = figures
  const hasTurns = events.some((one) => one.longestTurnMs > 0)
  const rows = events.map((one) => {
    const recorded = recordedOf(services, streams, one.event)
    return [
      one.event,
      String(one.rounds),
      `${one.concerned}`,
      ranged(one.cpuSeconds),
      ...(hasTurns ? [number(one.longestTurnMs)] : []),
      ranged({ median: one.bytesAStream.median / 1000, least: one.bytesAStream.least / 1000, most: one.bytesAStream.most / 1000 }),
      Number.isFinite(one.firstByteMs.median) ? number(one.firstByteMs.median) : '–',
      `${number(one.ackMs.p50.median)} / ${number(one.ackMs.p99.median)} / ${number(one.ackMs.max.median)}`,
      `${number(one.rssMiB)} / ${number(one.rssPeakMiB)}`,
      recorded === undefined ? '–' : [recorded.cpuSeconds, recorded.kilobytes, recorded.rssPeakMiB].map((value) => (value === undefined ? '–' : number(value))).join(' · '),
      recorded?.cpuSeconds === undefined ? '–' : `1/${number(recorded.cpuSeconds / one.cpuSeconds.median)}`,
      recorded?.kilobytes === undefined ? '–' : `1/${number((recorded.kilobytes * 1000) / one.bytesAStream.median)}`,
    ]
  })
  const head = ['event', 'times', 'streams', 'CPU s', ...(hasTurns ? ['longest turn, CPU ms'] : []), 'KB a stream', 'first byte ms', 'last ACK ms p50/p99/max', 'RSS/peak MiB', 'istiod (recorded) CPU s · KB · peak MiB', 'CPU', 'bytes']
  const title = `\n${services.toLocaleString('en')} services, ${streams.toLocaleString('en')} streams${figures.tls ? ', mutual TLS' : ''}; medians (least–most). The mesh was loaded for ${number(figures.loadCpuSeconds)} CPU s before.`
  return `${title}\n${columns([head, ...rows])}\n${memoryLine(figures)}${idleLine(figures)}istiod was recorded on another occasion and machine: its CPU and bytes tell the order of magnitude, and its time is left out.`
}

export function startLine(services: number, starts: readonly Start[]): string {
  const said = (of: (start: Start) => number): string => ranged(spreadOf(starts.map(of)))
  return `\n${services.toLocaleString('en')} services in Postgres, ${starts.length} starts of a server: it listens after ${said((one) => one.listensMs)} ms, and the first proxy is configured after ${said((one) => one.configuredMs)} ms and ${said((one) => one.cpuSeconds)} CPU s of the server.
istiod, recorded on another occasion: 2,060 ms with 100 services, 2,500 to 3,000 ms and 0.9 to 1.0 CPU s with 1,000.`
}

function memoryLine({ streams, rssLoadedMiB, events }: SizeFigures): string {
  const connected = events.find(({ event }) => event === 'connect')
  return connected === undefined ? '' : `${number(rssLoadedMiB)} MiB resident before anyone connected, and then ${number(((connected.rssMiB - rssLoadedMiB) * 1024) / streams)} KiB more a stream, what is made once for all of them included.\n`
}

function idleLine({ meshes, streams, events }: SizeFigures): string {
  const idle = events.find(({ event }) => event === 'idle')
  if (idle === undefined) return ''
  const microseconds = (idle.cpuSeconds.median * 1e6) / IDLE_SECONDS
  return `Idle, a second costs ${number(microseconds)} µs of CPU: ${number(microseconds / meshes)} a tenant, ${number(microseconds / streams)} a stream.\n`
}

/** The same events at each size, and the last as a multiple of the first. */
export function growthTable(sizes: readonly SizeFigures[]): string {
  const first = sizes[0]
  const last = sizes.at(-1)
  if (!first || !last) return ''
  const perStream = (event: EventFigures | undefined): number => (event && event.concerned > 0 ? event.cpuSeconds.median / event.concerned : 0)
  const named = (size: SizeFigures, event: string): EventFigures | undefined => size.events.find((one) => one.event === event)
  const rows = first.events.map(({ event }) => {
    const ratio = (of: (figures: EventFigures | undefined) => number): string => number(of(named(last, event)) / of(named(first, event)))
    return [
      event,
      ...sizes.flatMap((size) => [number(perStream(named(size, event)) * 1000), number(named(size, event)?.bytesAStream.median ?? 0)]),
      ratio(perStream),
      ratio((figures) => figures?.bytesAStream.median ?? 0),
    ]
  })
  const label = (size: SizeFigures): string => `${size.services.toLocaleString('en')} × ${size.streams.toLocaleString('en')}`
  const head = ['a stream', ...sizes.flatMap((size) => [`${label(size)}: CPU ms`, 'bytes']), 'CPU ratio', 'bytes ratio']
  return `\nGrowth with the size of the mesh, each figure a stream that the event concerned\n${columns([head, ...rows])}`
}
