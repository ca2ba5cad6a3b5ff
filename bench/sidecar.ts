import { join } from 'node:path'
import type { Bed } from './sidecar/bed.ts'
import { onBed } from './sidecar/bed.ts'
import { measureConcurrency } from './sidecar/concurrency.ts'
import { measureGrpc } from './sidecar/grpc.ts'
import { LOAD_CPU, ready, startOn, stop } from './sidecar/measure.ts'
import { measureMemory } from './sidecar/memory.ts'
import { readOptions } from './sidecar/options.ts'
import { measureRate } from './sidecar/rate.ts'
import type { Goal } from './sidecar/report.ts'
import { byWrk, saturate } from './sidecar/saturation.ts'
import { measureStart } from './sidecar/start.ts'
import { BACKEND, pairSubjects, plainSubjects } from './sidecar/subjects.ts'
import { measureTcp } from './sidecar/tcp.ts'

const rows = ['plain', 'pair', 'rate', 'memory', 'start', 'concurrency', 'grpc', 'tcp'] as const

const usage = `npm run bench -- sidecar [options]
  --only plain,pair     rows: ${rows.join(', ')}
  --sizes 128,16384     bytes of an answer, of plain and pair
  --rounds 5            subjects take turns; a ratio is of figures of one round, and what is printed the median
  --seconds 3           of each subject in each round
  --warmup 3            seconds before that
  --connections 64
  --weft-only           without peers
  --profile DIR         a .cpuprofile of each Weft process
  --json FILE           writes the figures
  --force               runs also what this machine has too few cores for`

const goals: Readonly<Record<string, readonly Goal[]>> = {
  'plain 128': [{ subject: 'weft', peer: 'envoy', ratio: 2.8 }],
  'plain 16384': [{ subject: 'weft', peer: 'envoy', ratio: 2.5 }],
  'pair 128': [{ subject: 'weft h2', peer: 'envoy h1', ratio: 3.5 }, { subject: 'weft h2', peer: 'envoy h2', ratio: 2.5 }],
  'pair 16384': [{ subject: 'weft h2', peer: 'envoy h1', ratio: 2.5 }, { subject: 'weft h2', peer: 'envoy h2', ratio: 2 }],
}

/**
 * What a sidecar costs, Weft beside Envoy in one run and on the same resources: alone, and as a pair with mutual TLS over HTTP/1.1 and over HTTP/2, at saturation and at a given rate; memory, start, TCP.
 * Proxies have one core, load and applications another.
 */
export async function run(args: readonly string[]): Promise<void> {
  const options = readOptions(args, rows, usage)
  if (options === undefined) return
  const wants = (row: (typeof rows)[number]): boolean => options.only.length === 0 || options.only.includes(row)
  await onBed(options, ['wrk', 'h2load'], async (bed) => {
    const backend = startOn(LOAD_CPU, [process.execPath, join(import.meta.dirname, 'sidecar/backend.ts'), String(BACKEND)])
    try {
      await ready(BACKEND, '/b/128')
      for (const size of options.sizes) {
        if (wants('plain')) await saturateHttp(bed, 'plain', size)
        if (wants('pair')) await saturateHttp(bed, 'pair', size)
      }
      if (wants('rate')) for (const work of ['plain', 'pair'] as const) await measureRate(bed, work)
      if (wants('memory')) await measureMemory(bed)
      if (wants('start')) await measureStart(bed)
      if (wants('concurrency')) await measureConcurrency(bed)
      if (wants('grpc')) await measureGrpc(bed)
      if (wants('tcp')) await measureTcp(bed)
    } finally {
      await stop(backend)
    }
  })
}

const saturateHttp = async (bed: Bed, work: 'plain' | 'pair', size: number): Promise<void> =>
  saturate(bed, `${work} ${size} B`, work === 'plain' ? await plainSubjects(bed) : pairSubjects(bed), byWrk(size, bed.options.connections), goals[`${work} ${size}`])
