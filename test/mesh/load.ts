import http from 'node:http'
import { send, type Call } from './shop.ts'

export interface LoadResult {
  readonly sent: number
  /** Requests without an answer below 500. */
  readonly failed: readonly string[]
  readonly byVersion: ReadonlyMap<string, number>
  /** Versions in the order of their answers. */
  readonly versions: readonly string[]
}

/** Keeps requests coming at a steady rate over kept-alive connections until stopped, and counts what became of each. */
export function startLoad(to: string, call: Call, perSecond: number): { stop(): Promise<LoadResult>; readonly sent: () => number; readonly answered: (version: string) => number } {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 16 })
  const failed: string[] = []
  const byVersion = new Map<string, number>()
  const versions: string[] = []
  const pending = new Set<Promise<void>>()
  let sent = 0
  const one = async (): Promise<void> => {
    try {
      const answer = await send(to, { ...call, agent })
      const version = String(answer.headers['x-version'] ?? '')
      byVersion.set(version, (byVersion.get(version) ?? 0) + 1)
      versions.push(version)
      if (answer.status >= 500) failed.push(`${answer.status} ${answer.body}`)
    } catch (error) {
      failed.push(error instanceof Error ? error.message : String(error))
    }
  }
  const timer = setInterval(() => {
    sent++
    const request = one().finally(() => pending.delete(request))
    pending.add(request)
  }, 1000 / perSecond)
  return {
    sent: () => sent,
    answered: (version) => byVersion.get(version) ?? 0,
    async stop() {
      clearInterval(timer)
      await Promise.all(pending)
      agent.destroy()
      return { sent, failed, byVersion, versions }
    },
  }
}

/** Sends `count` requests, `parallel` at a time, and answers how many each version took. */
export async function tally(to: string, call: Call, count: number, parallel = 16): Promise<{ byVersion: Map<string, number>; statuses: Map<number, number> }> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: parallel })
  const byVersion = new Map<string, number>()
  const statuses = new Map<number, number>()
  let left = count
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const answer = await send(to, { ...call, agent })
      const version = String(answer.headers['x-version'] ?? '')
      byVersion.set(version, (byVersion.get(version) ?? 0) + 1)
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
    }
  }
  await Promise.all(Array.from({ length: parallel }, worker))
  agent.destroy()
  return { byVersion, statuses }
}
