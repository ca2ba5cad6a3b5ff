import { cpus } from 'node:os'
import { join } from 'node:path'
import type { Bed, Subject } from './bed.ts'
import { bootstrap, envoyCommand, write } from './bed.ts'
import { startBundled } from './bundled.ts'
import { plainResources } from './config.ts'
import { cpuNs, LOAD_CPU, ready, startOn, stop, wrk } from './measure.ts'
import { samplesOf } from './report.ts'

const BACKEND = 21182
const [ENVOY_PORT, WEFT_PORT] = [21135, 21136]

/** Two cores for the proxies; load and application share what is left. */
function places(cores: number): { proxies: string; backend: string; words: string } {
  if (cores >= 4) return { proxies: '1,2', backend: '3', words: 'proxies on two cores, load and application on one each' }
  if (cores === 3) return { proxies: '1,2', backend: LOAD_CPU, words: 'proxies on two cores, load and application share the third, and may be what limits' }
  return { proxies: '0,1', backend: LOAD_CPU, words: `${cores} cores for proxies, load and application together: what a second core gives cannot show` }
}

/** Requests a second of one thread and of two, at saturation: plain, 128 B. */
export async function measureConcurrency(bed: Bed): Promise<void> {
  const { folder, envoy, options, report } = bed
  const cores = cpus().length
  const { proxies, backend: backendCpu, words } = places(cores)
  if (cores < 3 && !options.force) {
    report.title('concurrency 2 against 1: left out')
    report.note(`${words}; --force measures all the same`)
    return
  }
  const backend = startOn(backendCpu, [process.execPath, join(import.meta.dirname, 'backend.ts'), String(BACKEND)])
  const bundled = await startBundled(bed, plainResources(WEFT_PORT, BACKEND, join(folder, 'weft.log')))
  const config = write(folder, 'envoy-concurrency.json', bootstrap('concurrency', plainResources(ENVOY_PORT, BACKEND, join(folder, 'envoy.log'))))
  const subjects = [1, 2].flatMap((threads): Subject[] => [
    ...(envoy === undefined ? [] : [{ name: `envoy ${threads}`, port: ENVOY_PORT, commands: [envoyCommand(envoy, config, 1, threads)] }]),
    { name: `weft ${threads}`, port: WEFT_PORT, commands: [bundled.command(['--concurrency', String(threads)])] },
  ])
  const [rates, busy] = [samplesOf(subjects), samplesOf(subjects)]
  try {
    await ready(BACKEND, '/b/128')
    for (let round = 0; round < options.rounds; round++) {
      for (const { name, port, commands } of subjects) {
        const children = commands.map((command) => startOn(proxies, command))
        try {
          await ready(port, '/b/128')
          const pids = children.flatMap((child) => child.pid ?? [])
          await wrk(port, '/b/128', options.warmupSeconds, options.connections)
          const before = cpuNs(pids)
          const load = await wrk(port, '/b/128', options.seconds, options.connections)
          busy.get(name)?.push((cpuNs(pids) - before) / 1e9 / options.seconds)
          rates.get(name)?.push(load.requests / options.seconds)
        } finally {
          for (const child of children) await stop(child)
        }
      }
    }
  } finally {
    bundled.close()
    await stop(backend)
  }
  report.title(`concurrency 2 against 1, plain 128 B, ${options.connections} connections, median of ${options.rounds} rounds of ${options.seconds} s`)
  report.note(words)
  const besides = (subject: string): string[] => (subject.endsWith(' 2') ? [subject.replace(' 2', ' 1'), ...(subject === 'weft 2' ? ['envoy 2'] : [])] : subject === 'weft 1' ? ['envoy 1'] : [])
  report.measure({ work: 'concurrency', name: 'requests', unit: '/s', better: 'more', samples: rates, besides, goals: [{ subject: 'weft 2', peer: 'weft 1', ratio: 1.8 }] })
  report.measure({ work: 'concurrency', name: 'busy', unit: 'cores', better: 'more', samples: busy, besides: () => [] })
}
