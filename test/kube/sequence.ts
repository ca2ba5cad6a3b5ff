import { readFileSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { ask, open, parsed } from './asking.ts'
import type { HttpAccess, Stream } from './asking.ts'
import { Ages, comparable, comparableEvent, valueAt } from './comparable.ts'

/** What a client does, told to one server after another: see sequences/README.md. */
export interface Sequence {
  readonly file: string
  readonly sentence: string
  readonly source?: string
  /** As a step's, for all of them. */
  readonly differs?: Readonly<Record<string, string>>
  readonly steps: readonly Step[]
}

interface Step {
  readonly says: string
  /** `METHOD PATH`; below, NS is the sequence's own namespace and `$NAME` what an earlier step kept. */
  readonly ask?: string
  /** Opens a watch under this name, and does not read yet. */
  readonly watch?: string
  /** Reads so many events of the watch of this name that is open. */
  readonly read?: string
  readonly events?: number
  readonly type?: string
  readonly accept?: string
  readonly body?: unknown
  /** The code, with the reason of a Status: `409 Conflict`; of both servers, unless `weft` says otherwise. */
  readonly answer?: string
  readonly weft?: string
  readonly keep?: Readonly<Record<string, string>>
  /** Asked again until `until` of the answer is `is`: for what a server does in its own time. */
  readonly until?: string
  readonly is?: unknown
  /** Paths into the comparable answer where the servers differ on purpose, with the heading in docs/reference/kubernetes-differences.md. */
  readonly differs?: Readonly<Record<string, string>>
}

export interface Told {
  readonly step: Step
  readonly answer: string
  readonly seen: unknown
}

const folder = fileURLToPath(new URL('./sequences', import.meta.url))

export function readSequences(): Sequence[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.yaml'))
    .sort()
    .map((file) => ({ file, ...(parse(readFileSync(`${folder}/${file}`, 'utf8')) as Omit<Sequence, 'file'>) }))
}

const UNTIL_TRIES = 400
const EVENT_MS = 120_000

/** Runs a sequence on one server, in a namespace that it makes. */
export async function tell(access: HttpAccess, sequence: Sequence, namespace: string): Promise<Told[]> {
  await ask(access, { method: 'POST', path: '/api/v1/namespaces', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }) })
  const kept = new Map<string, string>([['NS', namespace]])
  const ages = new Ages()
  const streams = new Map<string, Stream>()
  const told: Told[] = []
  const filled = (text: string): string => text.replaceAll(/\$([a-zA-Z]+)|\bNS\b/g, (whole, name: string | undefined) => kept.get(name ?? 'NS') ?? whole)
  try {
    for (const step of sequence.steps) {
      const [method = 'GET', path = ''] = filled(step.ask ?? '').split(' ', 2)
      const question = {
        method,
        path,
        headers: { ...(step.body === undefined ? {} : { 'content-type': step.type ?? 'application/json' }), ...(step.accept === undefined ? {} : { accept: step.accept }) },
        ...(step.body === undefined ? {} : { body: filled(typeof step.body === 'string' ? step.body : JSON.stringify(step.body)) }),
      }
      if (step.watch !== undefined) {
        const stream = await open(access, question)
        streams.set(step.watch, stream)
        told.push({ step, answer: String(stream.code), seen: null })
        continue
      }
      if (step.read !== undefined) {
        const stream = streams.get(step.read)
        if (stream === undefined) throw new Error(`no watch ${step.read} is open`)
        told.push({ step, answer: '', seen: await readEvents(stream, step.events ?? 1, ages) })
        continue
      }
      let given = await ask(access, question)
      for (let tries = 0; step.until !== undefined && tries < UNTIL_TRIES && String(valueAt(parsed(given.text), step.until)) !== String(step.is); tries += 1) {
        await new Promise((resolve) => setTimeout(resolve, 25))
        given = await ask(access, question)
      }
      const body = parsed(given.text)
      for (const [name, at] of Object.entries(step.keep ?? {})) kept.set(name, encodeURIComponent(String(valueAt(body, at))))
      const reason = valueAt(body, 'kind') === 'Status' && given.code >= 400 ? ` ${String(valueAt(body, 'reason') ?? '')}` : ''
      told.push({ step, answer: `${given.code}${reason}`, seen: comparable(body, ages, namespace) })
    }
  } finally {
    for (const stream of streams.values()) stream.close()
  }
  return told
}

async function readEvents(stream: Stream, count: number, ages: Ages): Promise<unknown[]> {
  const seen: unknown[] = []
  while (seen.length < count) {
    const event = await Promise.race([stream.next(), new Promise<'late'>((resolve) => setTimeout(resolve, EVENT_MS, 'late').unref())])
    if (event === undefined || event === 'late') {
      seen.push(event === 'late' ? 'nothing more came' : 'the end')
      break
    }
    const shown = comparableEvent(event, ages)
    if (shown !== undefined) seen.push(shown)
  }
  return seen
}
