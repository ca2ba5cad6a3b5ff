import { meets } from '#api/simulate/expect.ts'
import type { CountWords, Expectation } from '#core/contract/requests-file.ts'
import { durationMs } from '#core/resource/duration.ts'
import type { Receipt } from './applications.ts'
import { keepAliveInMs } from './keep-alive.ts'
import type { LiveProxy, LogLine } from './live-proxy.ts'
import { isCopy, type Observation } from './observe.ts'

const LOOK_EVERY_MS = 50

/** Whether something has come about, or does so within this time. */
async function becomes(there: () => boolean | Promise<boolean>, withinMs: number): Promise<boolean> {
  const deadlineMs = performance.now() + withinMs
  while (!(await there())) {
    if (performance.now() >= deadlineMs) return false
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  }
  return true
}

const fits = (wanted: CountWords, came: number): boolean => (typeof wanted === 'number' ? came === wanted : came >= (wanted.least ?? 0) && came <= (wanted.most ?? Infinity))
const countWords = (wanted: CountWords): string => (typeof wanted === 'number' ? String(wanted) : [wanted.least === undefined ? '' : `at least ${wanted.least}`, wanted.most === undefined ? '' : `at most ${wanted.most}`].filter((one) => one !== '').join(' and '))

/** Statuses of all answers; 0 where there was none. */
export function statusesWrong(wanted: Readonly<Record<string, CountWords>>, seen: readonly Observation[]): string[] {
  const came = new Map<string, number>()
  for (const { answer } of seen) {
    const status = answer.kind === 'answer' ? String(answer.status) : 'none'
    came.set(status, (came.get(status) ?? 0) + 1)
  }
  const all = [...came].map(([status, count]) => `${count} of ${status}`).join(', ')
  const wrong = Object.entries(wanted).filter(([status, count]) => !fits(count, came.get(status) ?? 0))
  const others = [...came.keys()].filter((status) => wanted[status] === undefined)
  return [
    ...wrong.map(([status, count]) => `status ${status} was expected ${countWords(count)} times, of ${seen.length} came ${all}`),
    ...(others.length === 0 ? [] : [`no status ${others.join(', ')} was expected, of ${seen.length} came ${all}`]),
  ]
}

const arrived = (seen: readonly Observation[]): Receipt[] => seen.flatMap((one) => one.receipts.filter((receipt) => !isCopy(receipt)))

export function connectionsWrong(wanted: CountWords, seen: readonly Observation[]): string[] {
  const peers = new Set(arrived(seen).map((one) => one.arrival.peer))
  return fits(wanted, peers.size) ? [] : [`${countWords(wanted)} connections were expected, ${peers.size} came`]
}

export async function receivedWrong(wanted: NonNullable<Expectation['received']>, seen: readonly Observation[], withinMs: number): Promise<string[]> {
  const receipts = arrived(seen)
  if (receipts.length === 0) return ['no application saw the request']
  const pinged = wanted.pinged !== undefined && (await becomes(() => receipts.some((one) => one.arrival.pinged?.()), wanted.pinged ? withinMs : 0))
  if (wanted.pinged !== undefined && wanted.pinged !== pinged) return [pinged ? 'no PING was expected, and one came' : 'a PING was expected, and none came']
  const wrong: string[] = []
  for (const { protocol, arrival } of receipts) {
    const came = { protocol, tls: arrival.tls !== undefined, sni: arrival.tls?.sni, clientCertificate: arrival.tls?.clientCertificate ?? false, proxyProtocol: arrival.proxyHeader?.version }
    wrong.push(...(['protocol', 'tls', 'sni', 'clientCertificate', 'proxyProtocol'] as const).flatMap((field) => (wanted[field] === undefined || wanted[field] === came[field] ? [] : [`${field} ${String(wanted[field])} was expected, ${String(came[field] ?? 'none')} came`])))
    if (wanted.keepAlive === undefined) continue
    const inMs = await keepAliveInMs(arrival.peer, withinMs)
    if (inMs === undefined || inMs > durationMs(wanted.keepAlive)) wrong.push(`a probe within ${wanted.keepAlive} was expected, ${inMs === undefined ? 'none is due' : `it is due in ${inMs} ms`}`)
  }
  return wrong
}

const textOf = (value: unknown): string => (value === undefined || value === null ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value as string | number | boolean))

export function logWrong(wanted: Readonly<Record<string, string>>, line: LogLine | undefined): string[] {
  return Object.entries(wanted).flatMap(([field, value]) => {
    const came = textOf(line?.[field])
    return meets(value, came) ? [] : [`${field} ${value} was expected in the log, ${line === undefined ? 'no line' : came === '' ? 'none' : came} came`]
  })
}

/** Waits for the lines that must be there; those that must not are looked for among what is there then. */
export async function metricsWrong(wanted: NonNullable<Expectation['metrics']>, proxy: LiveProxy, withinMs: number): Promise<string[]> {
  let lines: readonly string[] = []
  const isThere = (text: string): boolean => lines.some((line) => (/^\/.*\/$/.test(text) ? meets(text, line) : line.includes(text)))
  await becomes(async () => {
    lines = await proxy.metrics()
    return lines.length > 0 && (wanted.all ?? []).every(isThere)
  }, withinMs)
  return [...(wanted.all ?? []).filter((text) => !isThere(text)).map((text) => `${text} was expected in the metrics`), ...(wanted.none ?? []).filter(isThere).map((text) => `${text} was not expected in the metrics`)]
}

/** Waits for what must come; what must not is looked for in what came until then. */
export async function collectedWrong(wanted: NonNullable<Expectation['collected']>, collected: (from: number) => readonly string[], from: number, withinMs: number): Promise<string[]> {
  const missing = (): string[] => (wanted.all ?? []).filter((text) => !collected(from).some((one) => one.includes(latin1(text))))
  await becomes(() => missing().length === 0, withinMs)
  return [...missing().map((text) => `${text} was expected at the collector`), ...(wanted.none ?? []).filter((text) => collected(from).some((one) => one.includes(latin1(text)))).map((text) => `${text} was not expected at the collector`)]
}

const latin1 = (text: string): string => Buffer.from(text).toString('latin1')
