import { chmod, mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Worker } from 'node:worker_threads'
import { COMMIT, DriverError, driverError, statementsOf } from '../driver.ts'
import type { Driver, Query, Statement } from '../driver.ts'
import { lockFolder } from './folder-lock.ts'
import type { Opening, Reply, Request } from './messages.ts'

interface Waiting {
  resolve(answer: unknown[]): void
  reject(reason: DriverError): void
}

/**
 * PGlite in a thread of its own. It has one connection, so transactions queue.
 * @param folder where it keeps its files, made when missing and readable by its owner alone; undefined: in memory
 * @param channels every channel that `listen` will be asked for
 * @throws Error when another process has the folder open
 */
export async function openPglite(folder: string | undefined, channels: readonly string[]): Promise<Driver> {
  if (folder === undefined) return PgliteDriver.start({ folder, channels }, async () => {})
  const home = resolve(folder)
  await mkdir(home, { recursive: true, mode: 0o700 })
  await chmod(home, 0o700)
  const unlock = await lockFolder(home)
  try {
    return await PgliteDriver.start({ folder: join(home, 'data'), channels }, unlock)
  } catch (error) {
    await unlock()
    throw error
  }
}

class PgliteDriver implements Driver {
  readonly remote = false
  readonly #worker: Worker
  readonly #unlock: () => Promise<void>
  readonly #waiting = new Map<number, Waiting>()
  readonly #listeners = new Map<string, Set<(payload: string) => void>>()
  #lastId = 0
  /** Resolves when the last transaction so far has ended. */
  #tail: Promise<unknown> = Promise.resolve()
  #ended: DriverError | undefined
  #closing: Promise<void> | undefined

  private constructor(worker: Worker, unlock: () => Promise<void>) {
    this.#worker = worker
    this.#unlock = unlock
  }

  static start(opening: Opening, unlock: () => Promise<void>): Promise<Driver> {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: opening })
    const driver = new PgliteDriver(worker, unlock)
    return new Promise((opened, failed) => {
      worker.on('message', (message: Reply) => {
        if ('ready' in message) opened(driver)
        else if ('channel' in message) for (const notice of driver.#listeners.get(message.channel) ?? []) notice(message.payload)
        else if (message.id === undefined) void worker.terminate().then(() => failed('failure' in message ? driverError(message.failure) : new DriverError('it did not open')))
        else driver.#settle(message.id, message)
      })
      worker.on('error', (error) => driver.#end(driverError(error), failed))
      worker.on('exit', () => driver.#end(new DriverError('the embedded database has been closed'), failed))
    })
  }

  transaction<T>(begin: string, work: (query: Query) => Promise<T>): Promise<T> {
    return this.#inTurn(() => this.#transact(begin, work))
  }

  batch(begin: string, statements: readonly Statement[]): Promise<unknown[][]> {
    return this.#inTurn(() => this.#orBack(async () => {
      const before = statementsOf(begin)
      return (await this.#pipe([...before, ...statements, COMMIT])).slice(before.length, -1)
    }))
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#tail.then(work)
    this.#tail = turn.catch(() => {}) // its caller has the reason; the next in line only waits for the end
    return turn
  }

  listen(channel: string, notice: (payload: string) => void): () => void {
    const listeners = this.#listeners.get(channel) ?? new Set()
    this.#listeners.set(channel, listeners.add(notice))
    return () => listeners.delete(notice)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await this.#tail
    if (!this.#ended) await this.#ask((id) => ({ id, close: true })).catch(() => {}) // it is ended below in any case
    await this.#worker.terminate()
    await this.#unlock()
  }

  #transact<T>(begin: string, work: (query: Query) => Promise<T>): Promise<T> {
    return this.#orBack(async () => {
      let begun = false
      const result = await work(async (text, params, rows) => {
        if (begun) return this.#ask((id) => ({ id, text, params, rows }))
        begun = true
        return (await this.#pipe([...statementsOf(begin), { text, params, rows }])).at(-1) ?? []
      })
      if (begun) await this.#run('commit')
      return result
    })
  }

  async #orBack<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      // Fails when the thread has died: then there is nothing left to roll back.
      if (!this.#ended) await this.#run('rollback').catch(() => {})
      throw error
    }
  }

  #run(text: string): Promise<unknown[]> {
    return this.#ask((id) => ({ id, text, params: undefined, rows: 'array' }))
  }

  async #pipe(pipeline: readonly Statement[]): Promise<unknown[][]> {
    return (await this.#ask((id) => ({ id, pipeline }))) as unknown[][]
  }

  #ask(request: (id: number) => Request): Promise<unknown[]> {
    const ended = this.#ended
    if (ended) return Promise.reject(ended)
    const id = ++this.#lastId
    return new Promise((resolved, reject) => {
      this.#waiting.set(id, { resolve: resolved, reject })
      this.#worker.postMessage(request(id))
    })
  }

  #settle(id: number, message: Extract<Reply, { id: unknown }>): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if ('failure' in message) waiting?.reject(driverError(message.failure))
    else waiting?.resolve('answers' in message ? message.answers : message.rows)
  }

  #end(reason: DriverError, failed: (reason: DriverError) => void): void {
    this.#ended ??= reason
    failed(this.#ended)
    for (const waiting of this.#waiting.values()) waiting.reject(this.#ended)
    this.#waiting.clear()
  }
}
