import { ask } from '#api/simulate/ask.ts'
import type { ExplainRequest, ExplainResponse } from '#core/contract/explain.ts'
import { Faults } from '#core/fault/fault.ts'
import type { Origin } from '#core/plan/origin.ts'
import { callApi, meshPath } from '../client.ts'
import { contextOf } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { readFiles } from '../files.ts'
import { offlineMesh, type Places, readRequestsFile } from '../offline.ts'
import { readArgs, serverFlags, UsageError } from '../usage.ts'

export const usage = `weft explain --from NAME.NAMESPACE [-H 'name: value' …] [METHOD] URL [-o table|json]
weft explain -f FILE|DIR … [--workloads FILE] --from … URL

Which listener, route, endpoint and policy a request meets, each rule that was tried, and the object that decided. Nothing is sent.
Against a mesh, or with -f against files alone; --workloads then says who exists, in the form of requests.yaml.

  --from NAME.NAMESPACE   the workload that calls; gateway:NAME.NAMESPACE for what comes in there; outside for a caller without a proxy
  -H, --header            a request header; may be repeated
  --address, --port       where the caller dials, where the URL does not say it
  --tls tls|mtls          the caller speaks TLS itself; --sni NAME and --alpn PROTOCOL as it offers them

Exit 0 when the question was answered, 4 when there is no such workload.`

const flags = {
  ...serverFlags,
  filename: { type: 'string', short: 'f', multiple: true },
  workloads: { type: 'string' },
  from: { type: 'string' },
  header: { type: 'string', short: 'H', multiple: true },
  address: { type: 'string' },
  port: { type: 'string' },
  tls: { type: 'string' },
  sni: { type: 'string' },
  alpn: { type: 'string', multiple: true },
  output: { type: 'string', short: 'o' },
} as const

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(args, flags, { min: 1, max: 2 })
  const [method, url] = positionals.length === 1 ? [undefined, positionals[0]] : positionals
  if (values.from === undefined) throw new UsageError('--from says who calls')
  if (values.tls !== undefined && values.tls !== 'tls' && values.tls !== 'mtls') throw new UsageError('--tls is tls or mtls')
  if (values.output !== undefined && values.output !== 'table' && values.output !== 'json') throw new UsageError('-o is table or json')
  const asked: ExplainRequest = {
    from: values.from,
    url: url ?? '',
    ...(method === undefined ? {} : { method: method.toUpperCase() }),
    ...(values.header === undefined ? {} : { headers: Object.fromEntries(values.header.map(headerOf)) }),
    ...(values.address === undefined ? {} : { address: values.address }),
    ...(values.port === undefined ? {} : { port: portOf(values.port) }),
    ...(values.tls === undefined ? {} : { tls: values.tls }),
    ...(values.sni === undefined ? {} : { sni: values.sni }),
    ...(values.alpn === undefined ? {} : { alpn: values.alpn }),
  }
  try {
    const { answer, places } = values.filename === undefined ? await askServer(asked, values) : await askFiles(asked, values.filename, values.workloads)
    process.stdout.write(values.output === 'json' ? `${JSON.stringify(answer, undefined, 2)}\n` : wordsOf(asked, answer, places))
  } catch (error) {
    if (!(error instanceof Faults) || !error.faults.some((one) => one.code === 'object.not-found')) throw error
    for (const one of error.faults) process.stderr.write(`weft explain: ${String(one.value)} is not ${one.rule}${one.hint === undefined ? '' : `; ${one.hint}`}\n`)
    return exitCodes.notFound
  }
  return exitCodes.done
}

interface Answered {
  readonly answer: ExplainResponse
  readonly places: Places
}

async function askServer(asked: ExplainRequest, values: Parameters<typeof contextOf>[0]): Promise<Answered> {
  const context = contextOf(values)
  return { answer: await callApi<ExplainResponse>(context, 'POST', meshPath(context, '/explain'), asked), places: new Map() }
}

async function askFiles(asked: ExplainRequest, sources: readonly string[], workloads: string | undefined): Promise<Answered> {
  const [file] = workloads === undefined ? [] : await readFiles([workloads])
  const { world, places } = await offlineMesh(sources, file === undefined ? {} : readRequestsFile(file))
  // What is undefined in a trail is absent in the answer.
  return { answer: JSON.parse(JSON.stringify(ask(world, asked))) as ExplainResponse, places }
}

function headerOf(text: string): [string, string] {
  const colon = text.indexOf(':')
  if (colon <= 0) throw new UsageError(`-H: ${JSON.stringify(text)} is not "name: value"`)
  return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()]
}

function portOf(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) < 1 || Number(text) > 65535) throw new UsageError(`--port: ${JSON.stringify(text)} is no port`)
  return Number(text)
}

/** A line a step, each with its object and, where files were read, file and line; then one sentence. */
function wordsOf(asked: ExplainRequest, answer: ExplainResponse, places: Places): string {
  const rows = answer.steps.map((step) => [step.side === 'client' ? 'caller' : 'callee', step.kind, `${step.matched ? '+' : '-'} ${step.words}`, step.origin === undefined ? '' : placeOf(step.origin, places)])
  const widths = [0, 1, 2].map((column) => Math.min(96, Math.max(0, ...rows.map((row) => row[column]?.length ?? 0))))
  const lines = rows.map((row) => row.map((cell, column) => (column < 3 ? cell.padEnd(widths[column] ?? 0) : cell)).join('  ').trimEnd())
  return `${asked.from} ${asked.method ?? 'GET'} ${asked.url}\n\n${lines.map((line) => `  ${line}\n`).join('')}\n${sentence(answer, places)}\n`
}

function sentence(answer: ExplainResponse, places: Places): string {
  const by = answer.by === undefined ? '' : `, by ${placeOf(answer.by, places)}`
  const status = answer.status === undefined ? '' : ` ${answer.status}`
  return `${answer.outcome}${status}${by}: ${answer.why}`
}

function placeOf(origin: Origin, places: Places): string {
  const place = places.get(origin.resource)
  const field = origin.field === '' ? '' : ` ${origin.field}`
  return `${origin.resource}${field}${place === undefined ? '' : ` (${place.file}:${place.lineOf(origin.field === '' ? 'metadata.name' : `spec.${origin.field}`)})`}`
}
