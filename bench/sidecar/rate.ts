import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Bed, Subject } from './bed.ts'
import { cpuNs, HEADERS, headersAsFlags, output, PROXY_CPU, ready, startOn, stop } from './measure.ts'
import type { Goal } from './report.ts'
import { samplesOf } from './report.ts'
import { BACKEND, pairSubjects, plainSubjects } from './subjects.ts'

/** Requests a second, however fast they are answered. */
const RATE = 4000

const goals = {
  plain: { cpu: [{ subject: 'weft', peer: 'envoy', ratio: 2 }], p50: [{ subject: 'weft', peer: 'envoy', ratio: 2 }], p99: [{ subject: 'weft', peer: 'envoy', ratio: 1 }] },
  pair: { cpu: [{ subject: 'weft h2', peer: 'envoy h1', ratio: 2.7 }], p50: [{ subject: 'weft h2', peer: 'envoy h1', ratio: 2 }], p99: [{ subject: 'weft h2', peer: 'envoy h1', ratio: 1 }] },
} satisfies Record<string, Record<string, readonly Goal[]>>

/** CPU a request and latencies at a rate that leaves the proxies' core mostly idle, where fewer events share a wake-up; the application alone beside them. */
export async function measureRate(bed: Bed, work: 'plain' | 'pair'): Promise<void> {
  const { options, report } = bed
  const alone: Subject = { name: 'backend alone', port: BACKEND, commands: [] }
  const subjects = [alone, ...(work === 'plain' ? await plainSubjects(bed) : pairSubjects(bed))]
  const [costs, p50s, p99s] = [samplesOf(subjects), samplesOf(subjects), samplesOf(subjects)]
  const slow = new Map<string, number>()
  let failures = 0
  for (let round = 0; round < options.rounds; round++) {
    for (const { name, port, commands } of subjects) {
      const children = commands.map((command) => startOn(PROXY_CPU, command))
      try {
        await ready(port, '/b/128')
        const pids = children.flatMap((child) => child.pid ?? [])
        await loadAtRate(bed, port, options.warmupSeconds)
        const before = cpuNs(pids)
        const { microseconds, failed } = await loadAtRate(bed, port, options.seconds)
        if (pids.length > 0) costs.get(name)?.push((cpuNs(pids) - before) / 1000 / (microseconds.length + failed))
        p50s.get(name)?.push(microseconds[microseconds.length >> 1] ?? Number.NaN)
        p99s.get(name)?.push(microseconds[Math.floor(microseconds.length * 0.99)] ?? Number.NaN)
        const reached = microseconds.length / options.seconds
        if (reached < RATE * 0.97) slow.set(name, Math.min(reached, slow.get(name) ?? RATE))
        failures += failed
      } finally {
        for (const child of children) await stop(child)
      }
    }
  }
  const title = `${work} 128 B at ${RATE}/s`
  report.title(`${title}, ${options.connections} connections, median of ${options.rounds} rounds of ${options.seconds} s`)
  const besides = (subject: string): string[] => (subject.startsWith('weft') ? subjects.flatMap(({ name }) => (name.startsWith('envoy') ? [name] : [])) : [])
  report.measure({ work: title, name: 'CPU per request', unit: 'µs', better: 'less', samples: costs, goals: goals[work].cpu, besides })
  report.measure({ work: title, name: 'latency p50', unit: 'µs', better: 'less', samples: p50s, goals: goals[work].p50, besides })
  report.measure({ work: title, name: 'latency p99', unit: 'µs', better: 'less', samples: p99s, goals: goals[work].p99, besides })
  for (const [name, reached] of slow) report.note(`${name}: only ${Math.round(reached)}/s were answered, so its figures are not of this rate`)
  if (failures > 0) report.note(`${failures} requests failed`)
}

/** Each connection sends by its own clock; a request whose predecessor is still unanswered waits for it, and that wait is not in its latency. Latencies ascend. */
async function loadAtRate({ folder, options: { connections } }: Bed, port: number, seconds: number): Promise<{ microseconds: number[]; failed: number }> {
  const log = join(folder, 'latency.log')
  rmSync(log, { force: true })
  const out = await output(['h2load', '--h1', '-t1', `-c${connections}`, `-D${seconds}`, `--rps=${RATE / connections}`, `--log-file=${log}`, ...headersAsFlags(HEADERS), `http://127.0.0.1:${port}/b/128`])
  const microseconds: number[] = []
  let failed = 0
  for (const line of readFileSync(log, 'latin1').split('\n')) {
    // Start, status, microseconds until the answer's end.
    const [, status, taken] = line.split('\t')
    if (taken === undefined) continue
    if (status === '200') microseconds.push(Number(taken))
    else failed++
  }
  if (microseconds.length === 0) throw new Error(`h2load: ${out}`)
  return { microseconds: microseconds.sort((a, b) => a - b), failed }
}
