import { Worker } from 'node:worker_threads'
import type { Log } from '../admin/log.ts'
import type { Update } from '../ads/plan-cell.ts'
import type { WorkloadCertificate } from '../identity/certificate.ts'
import type { Answers, FromWorker, ToWorker, WorkerData } from './messages.ts'

interface Thread {
  readonly worker: Worker
  warm: boolean
}

/**
 * Threads that carry traffic beside the main one, each with listeners of its own on the same ports (SO_REUSEPORT: the kernel spreads connections), pools, counters and outlier detection of its own.
 * Identity, discovery and admin stay with the main thread, which tells the others what it hears and asks them what they counted.
 */
export class Workers {
  readonly #threads: Thread[] = []
  readonly #answers = new Map<number, (value: never) => void>()
  readonly #onWarm: () => void
  #asked = 0

  /** The program that runs is run anew in each thread, and knows by its data that it is one. `sockets`: for each thread what it takes over from one before it. `lost` is told of a thread that ended by itself. */
  constructor(count: number, data: WorkerData, sockets: readonly NonNullable<WorkerData['sockets']>[], log: Log, onWarm: () => void, lost: () => void) {
    this.#onWarm = onWarm
    for (let at = 0; at < count; at++) {
      const worker = new Worker(process.argv[1] ?? '', { workerData: { ...data, sockets: sockets[at] ?? [] } satisfies WorkerData, argv: process.argv.slice(2), name: `worker ${at + 1}` })
      const thread: Thread = { worker, warm: false }
      this.#threads.push(thread)
      worker.on('message', (message: FromWorker) => this.#hear(thread, message))
      worker.on('error', (error) => {
        log.error('worker.lost', { error: error instanceof Error ? error.message : String(error) })
        lost()
      })
    }
  }

  get areWarm(): boolean {
    return this.#threads.every(({ warm }) => warm)
  }

  update({ type, revision, resources, removed }: Update): void {
    // Bytes are windows on a response, and a message would carry all of what they look at.
    this.#tell({ kind: 'update', update: { type, revision, removed, resources: resources.map((one) => ({ ...one, bytes: one.bytes.slice() })) } })
  }

  useIdentity(certificate: WorkloadCertificate): void {
    this.#tell({ kind: 'identity', certificate })
  }

  /** All threads' answers; for drains, when the last of them has ended. */
  ask<What extends keyof Answers>(what: What, withinMs = 0, announceMs = 0): Promise<Answers[What][]> {
    return Promise.all(
      this.#threads.map(
        ({ worker }) =>
          new Promise<Answers[What]>((resolve) => {
            const id = ++this.#asked
            this.#answers.set(id, resolve)
            worker.postMessage({ kind: 'ask', id, for: what, withinMs, announceMs } satisfies ToWorker)
          }),
      ),
    )
  }

  #tell(message: ToWorker): void {
    for (const { worker } of this.#threads) worker.postMessage(message)
  }

  #hear(thread: Thread, message: FromWorker): void {
    if (message.kind === 'warm') {
      thread.warm = true
      this.#onWarm()
      return
    }
    const answer = this.#answers.get(message.id)
    this.#answers.delete(message.id)
    answer?.(message.value as never)
  }
}
