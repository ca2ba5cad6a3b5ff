import { request as plainRequest } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { request as tlsRequest } from 'node:https'

/** A server that is asked by raw HTTP: where, with which headers and which keys. */
export interface HttpAccess {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly tls?: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer }
}

const ANSWER_MS = 20_000

export interface Question {
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface Answer {
  readonly code: number
  readonly headers: IncomingMessage['headers']
  readonly text: string
}

const started = (access: HttpAccess, question: Question, signal?: AbortSignal): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const send = access.tls === undefined ? plainRequest : tlsRequest
    const outgoing = send(`${access.url}${question.path}`, { method: question.method, headers: { accept: 'application/json', ...(question.body === undefined ? {} : { 'content-length': Buffer.byteLength(question.body) }), ...access.headers, ...question.headers }, ...access.tls, ...(signal === undefined ? {} : { signal }) }, resolve)
    outgoing.on('error', reject)
    outgoing.end(question.body)
  })

export async function ask(access: HttpAccess, question: Question): Promise<Answer> {
  // What turns out to be a stream is cut: it was asked as a question.
  const answer = await started(access, question, AbortSignal.timeout(ANSWER_MS))
  answer.setEncoding('utf8')
  let text = ''
  try {
    for await (const piece of answer) text += String(piece)
  } catch (error) {
    text = `cut off: ${String(error)}`
  }
  return { code: answer.statusCode ?? 0, headers: answer.headers, text }
}

/** A stream of JSON lines that stays open: a watch. */
export interface Stream {
  readonly code: number
  /** The next line, or undefined at the stream's end. */
  next(): Promise<unknown>
  close(): void
}

export async function open(access: HttpAccess, question: Question): Promise<Stream> {
  const stop = new AbortController()
  const answer = await started(access, question, stop.signal)
  const lines = jsonLines(answer)
  return {
    code: answer.statusCode ?? 0,
    async next() {
      const { value, done } = await lines.next()
      return done ? undefined : value
    },
    close: () => stop.abort(),
  }
}

async function* jsonLines(answer: IncomingMessage): AsyncGenerator<unknown, void, undefined> {
  answer.setEncoding('utf8')
  let text = ''
  try {
    for await (const piece of answer) {
      text += String(piece)
      const lines = text.split('\n')
      text = lines.pop() ?? ''
      for (const line of lines) if (line !== '') yield parsed(line)
    }
  } catch (error) {
    // A stream that its reader closes ends with an error of that name.
    if (!(error instanceof Error && 'code' in error && ['ABORT_ERR', 'ECONNRESET'].includes(String(error.code)))) throw error
  }
  if (text.trim() !== '') yield parsed(text)
}

/** JSON, or the text where it is none: not every refusal is a Status. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
