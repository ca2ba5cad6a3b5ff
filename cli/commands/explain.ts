import { ask } from '#api/simulate/ask.ts'
import type { ExplainRequest, ExplainResponse } from '#core/contract/explain.ts'
import { Faults } from '#core/fault/fault.ts'
import { callApi, meshPath } from '../client.ts'
import { contextOf } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { sentence, stepLines } from '../explain-words.ts'
import { readFiles } from '../files.ts'
import { configBeside, offlineMesh, type Places, readRequestsFile } from '../offline.ts'
import { questionOf } from '../question.ts'
import { routerDifferences } from '../router-differences.ts'
import { makeTokens } from '../tokens.ts'
import { readArgs, serverFlags, UsageError } from '../usage.ts'

export const usage = `weft explain --from NAME.NAMESPACE [-H 'name: value' …] [METHOD] URL [-o table|json]
weft explain -f FILE|DIR … [--workloads FILE] --from … URL
weft explain --test REQUESTS.yaml [NAME]

Which listener, route, endpoint and policy a request meets, each rule that was tried, and the object that decided. Nothing is sent.
Against a mesh, or with -f against files alone; --workloads then says who exists, in the form of requests.yaml.

  --test REQUESTS.yaml    the requests of a file of weft test, or the one of that name, by the configuration beside them, and what was expected
  --from NAME.NAMESPACE   the workload that calls; gateway:NAME.NAMESPACE for what comes in there; outside for a caller without a proxy
  -H, --header            a request header; may be repeated
  --address, --port       where the caller dials, where the URL does not say it
  --tls tls|mtls          the caller speaks TLS itself; --sni NAME and --alpn PROTOCOL as it offers them

Exit 0 when the question was answered, 4 when there is no such workload.`

const flags = {
  ...serverFlags,
  filename: { type: 'string', short: 'f', multiple: true },
  workloads: { type: 'string' },
  test: { type: 'string' },
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
  const { values, positionals } = readArgs(args, flags, { min: 0, max: 2 })
  if (values.test !== undefined) return explainTests(values.test, positionals[0], values.output)
  if (positionals.length === 0) throw new UsageError('an argument is missing; see --help')
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

/** The rows of a file, each explained; 79 when one is not as expected. */
async function explainTests(file: string, name: string | undefined, output: string | undefined): Promise<ExitCode> {
  if (output !== undefined && output !== 'table' && output !== 'json') throw new UsageError('-o is table or json')
  const [read] = await readFiles([file])
  if (read === undefined) throw new UsageError(`there is no ${file}`)
  const about = readRequestsFile(read)
  const { world, places } = await offlineMesh(configBeside(file, about), about)
  const tokens = makeTokens(about.tokens, Date.now())
  const rows = (about.tests ?? []).filter((one) => name === undefined || one.name === name)
  if (rows.length === 0) throw new UsageError(name === undefined ? `${file} has no tests` : `${file} has no test ${JSON.stringify(name)}: there are ${(about.tests ?? []).map((one) => JSON.stringify(one.name)).join(', ')}`)
  const told = rows.map((row) => {
    const asked = questionOf(row, tokens)
    const trail = ask(world, asked, undefined, tokens.door)
    return { row, asked, answer: JSON.parse(JSON.stringify(trail)) as ExplainResponse, wrong: routerDifferences(row, trail) }
  })
  if (output === 'json') process.stdout.write(`${JSON.stringify(told.map(({ row, answer, wrong }) => ({ name: row.name, wrong, answer })), undefined, 2)}\n`)
  else process.stdout.write(told.map(({ row, asked, answer, wrong }) => `${row.name}\n${wordsOf(asked, answer, places)}${wrong.map((one) => `wrong: ${one}\n`).join('')}`).join('\n'))
  return told.some(({ wrong }) => wrong.length > 0) ? exitCodes.findings : exitCodes.done
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
  return { answer: JSON.parse(JSON.stringify(ask(world, asked, undefined, { nowMs: Date.now() }))) as ExplainResponse, places }
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

function wordsOf(asked: ExplainRequest, answer: ExplainResponse, places: Places): string {
  return `${asked.from} ${asked.method ?? 'GET'} ${asked.url}\n\n${stepLines(answer, places).map((line) => `  ${line}\n`).join('')}\n${sentence(answer, places)}\n`
}
