import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import path from 'node:path'
import { workloadFrom } from '#api/simulate/workload-words.ts'
import { worldOf } from '#api/simulate/world.ts'
import { configBeside, readConfiguration, readRequestsFile, worldSettings } from '#cli/offline.ts'
import { asked } from '#cli/question.ts'
import { makeTokens } from '#cli/tokens.ts'

const cases = path.resolve(import.meta.dirname, '../api/translate/cases')

/** `npm run bench -- router`: what `weft test` does without an engine, over every golden case in turn: a world out of its files, and each of its requests asked of the router, once and a second time. */
export async function run(): Promise<void> {
  const [worlds, first, again]: [number[], number[], number[]] = [[], [], []]
  for (const name of readdirSync(cases).sort()) {
    const file = path.join(cases, name, 'requests.yaml')
    if (!existsSync(file)) continue
    const started = performance.now()
    const about = readRequestsFile({ name: file, text: readFileSync(file, 'utf8') })
    const { objects } = await readConfiguration(configBeside(file, about))
    const world = worldOf({ objects, workloads: (about.workloads ?? []).map(workloadFrom), assumesCredentials: true, ...worldSettings(about) })
    worlds.push(performance.now() - started)
    const tokens = makeTokens(about.tokens, Date.now())
    for (const times of [first, again]) {
      for (const one of about.tests ?? []) {
        if (one.playedOnly !== undefined) continue
        const at = performance.now()
        asked(world, one, tokens)
        times.push(performance.now() - at)
      }
    }
  }
  process.stdout.write(`load ${loadavg().map((one) => one.toFixed(1)).join(' ')}; ms, median and 95th of a hundred\n`)
  for (const [title, times] of [['a world', worlds], ['a request, its plans made for it', first], ['the same again', again]] as const) process.stdout.write(`${title} (${times.length}): ${of(times, 0.5)} ${of(times, 0.95)}\n`)
}

const of = (times: readonly number[], share: number): string => ([...times].sort((a, b) => a - b)[Math.floor(times.length * share)] ?? 0).toFixed(2)
