import { type ChildProcess, fork } from 'node:child_process'

/** A process of the bench: orders go in, one answer comes back for each, in order. */
export class BenchProcess<Order> {
  readonly #child: ChildProcess
  readonly #waiting: { resolve(answer: unknown): void; reject(reason: Error): void }[] = []

  constructor(file: string, setup: unknown, nodeOptions: readonly string[] = []) {
    this.#child = fork(new URL(file, import.meta.url), [JSON.stringify(setup)], { execArgv: [...nodeOptions], serialization: 'json' })
    this.#child.on('message', (answer) => this.#waiting.shift()?.resolve(answer))
    this.#child.on('exit', (code) => {
      for (const one of this.#waiting.splice(0)) one.reject(new Error(`${file} ended with ${String(code)}`))
    })
  }

  /** The answer that comes unasked, when the process is ready. */
  ready<Answer>(): Promise<Answer> {
    return new Promise<unknown>((resolve, reject) => this.#waiting.push({ resolve, reject })) as Promise<Answer>
  }

  ask<Answer>(order: Order): Promise<Answer> {
    const answer = this.ready<Answer>()
    this.#child.send(order as object)
    return answer
  }

  /** Ends the process; resolves when it is gone. */
  async end(order: Order): Promise<void> {
    if (this.#child.exitCode !== null) return
    const gone = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()))
    this.#child.send(order as object)
    await gone
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }
}

/** The other side: answers each order with what `obey` returns. */
export function obeyOrders<Order>(obey: (order: Order) => unknown): void {
  const tell = (answer: unknown): void => void process.send?.(answer ?? null)
  process.on('message', (order: Order) => void Promise.resolve(obey(order)).then(tell))
  // Whoever started this is gone: nobody waits for figures.
  process.on('disconnect', () => process.exit(0))
}
