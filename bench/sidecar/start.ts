import { join } from 'node:path'
import type { Bed, Subject } from './bed.ts'
import { bootstrap, envoyCommand, write } from './bed.ts'
import { startBundled } from './bundled.ts'
import { plainResources } from './config.ts'
import { PROXY_CPU, ready, startOn, stop } from './measure.ts'
import { samplesOf } from './report.ts'
import { BACKEND } from './subjects.ts'

const LIMIT_MS = 300
const LOOK_EACH_MS = 3
const [ENVOY_PORT, WEFT_PORT] = [21133, 21134]

/**
 * From the process's start until the first request goes through: what it needs for that is in force by then. Weft asks a control plane for a certificate and for its resources on the way; Envoy has its in a file.
 * Weft is started with its compiled code kept from an earlier start, as `weft proxy` keeps it, and without.
 */
export async function measureStart(bed: Bed): Promise<void> {
  const { folder, envoy, options, report } = bed
  const bundled = await startBundled(bed, plainResources(WEFT_PORT, BACKEND, join(folder, 'weft.log')))
  const subjects: Subject[] = [
    { name: 'weft', port: WEFT_PORT, commands: [bundled.command([], join(folder, 'compiled'))] },
    { name: 'weft, nothing compiled', port: WEFT_PORT, commands: [bundled.command([])] },
  ]
  if (envoy !== undefined) subjects.unshift({ name: 'envoy, static', port: ENVOY_PORT, commands: [envoyCommand(envoy, write(folder, 'envoy-start.json', bootstrap('start', plainResources(ENVOY_PORT, BACKEND, join(folder, 'envoy.log')))), 1)] })
  const samples = samplesOf(subjects)
  try {
    // The first start of each reads programs from the disk, and keeps what it compiled.
    for (let round = -1; round < options.rounds; round++) {
      for (const { name, port, commands } of subjects) {
        const startedMs = performance.now()
        const children = commands.map((command) => startOn(PROXY_CPU, command))
        try {
          await ready(port, '/b/128', { everyMs: LOOK_EACH_MS })
          if (round >= 0) samples.get(name)?.push(performance.now() - startedMs)
        } finally {
          for (const child of children) await stop(child)
        }
      }
    }
  } finally {
    bundled.close()
  }
  report.title(`start, the bundled sidecar with a control plane beside Envoy with a file, median of ${options.rounds} rounds`)
  report.measure({ work: 'start', name: 'exec to first request', unit: 'ms', better: 'less', samples, limit: LIMIT_MS })
}
