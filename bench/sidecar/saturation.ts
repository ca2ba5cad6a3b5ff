import type { Bed, Subject } from './bed.ts'
import type { Load } from './measure.ts'
import { cpuNs, ready, startOn, PROXY_CPU, stop, wrk } from './measure.ts'
import type { Goal } from './report.ts'
import { samplesOf } from './report.ts'

export interface How {
  /** What is sent: `request`, `call`. */
  readonly unit: string
  /** Resolves when the subject is there. */
  ready(port: number): Promise<void>
  load(port: number, seconds: number): Promise<Load>
}

/** As much as the proxies' core bears: CPU a request and requests a second of each subject, rounds interleaved. */
export async function saturate({ options, report }: Bed, work: string, subjects: readonly Subject[], how: How, goals: readonly Goal[] = []): Promise<void> {
  const costs = samplesOf(subjects)
  const rates = samplesOf(subjects)
  let failures = 0
  for (let round = 0; round < options.rounds; round++) {
    for (const { name, port, commands } of subjects) {
      const children = commands.map((command) => startOn(PROXY_CPU, command))
      try {
        await how.ready(port)
        // taskset becomes the command itself, so the child's pid is the proxy's.
        const pids = children.flatMap((child) => child.pid ?? [])
        await how.load(port, options.warmupSeconds)
        const before = cpuNs(pids)
        const load = await how.load(port, options.seconds)
        costs.get(name)?.push((cpuNs(pids) - before) / 1000 / load.requests)
        rates.get(name)?.push(load.requests / (load.seconds ?? options.seconds))
        failures += load.failures
      } finally {
        for (const child of children) await stop(child)
      }
    }
  }
  report.title(`${work}, ${options.connections} connections, median of ${options.rounds} rounds of ${options.seconds} s`)
  report.measure({ work, name: `CPU per ${how.unit}`, unit: 'µs', better: 'less', samples: costs, goals })
  report.measure({ work, name: `${how.unit}s`, unit: '/s', better: 'more', samples: rates })
  if (failures > 0) report.note(`${failures} ${how.unit}s failed`)
}

/** HTTP/1.1 GETs of `size` bytes by wrk. */
export const byWrk = (size: number, connections: number): How => ({
  unit: 'request',
  ready: (port) => ready(port, `/b/${size}`),
  load: (port, seconds) => wrk(port, `/b/${size}`, seconds, connections),
})
