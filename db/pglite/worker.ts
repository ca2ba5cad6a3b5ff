import { PGlite } from '@electric-sql/pglite'
import { parentPort, workerData } from 'node:worker_threads'
import { textTypes, valueReaders } from '../values.ts'
import type { Failure, Opening, Reply, Request } from './messages.ts'
import { runPipeline } from './pipeline.ts'

// PGlite computes on the thread that calls it: on the main thread a chain of queries would starve every socket and timer.

const port = parentPort
if (!port) throw new Error('runs as a worker thread only')
const reply = (message: Reply): void => port.postMessage(message)

function failure(error: unknown): Failure {
  if (!(error instanceof Error)) return { message: String(error) }
  const field = (name: string): string | undefined => {
    const value: unknown = Reflect.get(error, name)
    return typeof value === 'string' ? value : undefined
  }
  return { message: error.message, code: field('code'), constraint: field('constraint'), table: field('table'), routine: field('routine') }
}

const parsers: Record<number, (text: string) => unknown> = { ...valueReaders }
for (const type of textTypes) parsers[type] = (text) => text

try {
  const opening: Opening = workerData
  const database = await PGlite.create({ ...(opening.folder === undefined ? {} : { dataDir: opening.folder }), parsers })
  for (const channel of opening.channels) await database.listen(channel, (payload) => reply({ channel, payload }))
  port.on('message', (request: Request) => void answer(database, request))
  reply({ ready: true })
} catch (error) {
  reply({ id: undefined, failure: failure(error) })
}

async function answer(database: PGlite, request: Request): Promise<void> {
  try {
    if ('close' in request) await database.close()
    else if ('pipeline' in request) return reply({ id: request.id, answers: await runPipeline(database, request.pipeline) })
    else if (request.params === undefined) await database.exec(request.text)
    else {
      const { rows } = await database.query(request.text, [...request.params], { rowMode: request.rows })
      return reply({ id: request.id, rows })
    }
    reply({ id: request.id, rows: [] })
  } catch (error) {
    reply({ id: request.id, failure: failure(error) })
  }
}
