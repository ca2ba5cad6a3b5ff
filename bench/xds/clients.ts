import type { ClientFigures, ClientOrder, ClientPoll, ClientSetup, ClientSums, OneMesh, ServerReady } from './messages.ts'
import { BenchProcess } from './process.ts'

/** The processes that stand for all proxies, as one. */
export class Clients {
  readonly #processes: readonly BenchProcess<ClientOrder>[]

  constructor(count: number) {
    this.#processes = Array.from({ length: count }, (_, at) => new BenchProcess<ClientOrder>('./client.ts', { at, of: count } satisfies ClientSetup, ['--max-old-space-size=8192']))
  }

  async ready(): Promise<void> {
    await Promise.all(this.#processes.map((one) => one.ready()))
  }

  /** Answers when the first of them began. */
  async connect(server: ServerReady, as: { readonly streams: number; readonly engine: string; readonly again: boolean }): Promise<{ startNs: string }> {
    const started = await this.#all<{ startNs: string }>({ do: 'connect', server, ...as })
    return { startNs: String(started.map(({ startNs }) => BigInt(startNs)).reduce((a, b) => (a < b ? a : b))) }
  }

  async reconnect(server: ServerReady, proxy: number, engine: string): Promise<{ startNs: string }> {
    const [started] = (await this.#all<{ startNs: string } | null>({ do: 'reconnect', server, proxy, engine })).filter((one) => one !== null)
    if (started === undefined) throw new Error(`there is no proxy ${proxy}`)
    return started
  }

  async mark(): Promise<void> {
    await this.#all({ do: 'mark' })
  }

  async disconnect(): Promise<void> {
    await this.#all({ do: 'disconnect' })
  }

  async poll(): Promise<ClientPoll> {
    const polls = await this.#all<ClientPoll>({ do: 'poll' })
    return {
      quietMs: Math.min(...polls.map((one) => one.quietMs)),
      configured: polls.reduce((sum, one) => sum + one.configured, 0),
      broken: [...new Set(polls.flatMap((one) => one.broken))],
    }
  }

  async collect(startNs: string, mesh?: OneMesh): Promise<ClientFigures> {
    const sums = await this.#all<ClientSums>({ do: 'collect', startNs, mesh })
    const sum = (of: (one: ClientSums) => number): number => sums.reduce((total, one) => total + of(one), 0)
    const times = sums.flatMap((one) => one.ackMs).sort((a, b) => a - b)
    const at = (share: number): number => times[Math.min(times.length - 1, Math.ceil(times.length * share) - 1)] ?? 0
    return {
      concerned: sum((one) => one.concerned),
      bytesDown: sum((one) => one.bytesDown),
      bytesUp: sum((one) => one.bytesUp),
      messages: sum((one) => one.messages),
      resources: sum((one) => one.resources),
      firstByteMs: Math.min(...sums.map((one) => one.firstByteMs ?? Infinity)),
      ackMs: { p50: at(0.5), p99: at(0.99), max: at(1) },
      cpuSeconds: sum((one) => one.cpuSeconds),
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.#processes.map((one) => one.end({ do: 'exit' }).catch(() => one.kill())))
  }

  #all<Answer>(order: ClientOrder): Promise<Answer[]> {
    return Promise.all(this.#processes.map((one) => one.ask<Answer>(order)))
  }
}
