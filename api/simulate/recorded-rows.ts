import { judgeAccess, type AccessRow, type JudgedAccess } from './recorded-access.ts'
import { judge, type Judged, type RecordedRow } from './recorded.ts'
import { recordedWorld, type RecordedConfig } from './recorded-world.ts'
import type { World } from './world.ts'

export type AnyRow = RecordedRow | AccessRow

/** Judges recorded cases one by one, each in its world; a world is made once. A case whose world is not there, or that we stumble over, fails with the reason. */
export function* judgeRows(rows: Iterable<AnyRow>, configs: Iterable<RecordedConfig>): Iterable<Judged | JudgedAccess> {
  const bases = new Map<string, RecordedConfig>()
  const named = new Map<string, RecordedConfig>()
  for (const one of configs) {
    if (one.config === undefined) bases.set(one.base ?? '', one)
    else named.set(one.config, one)
  }
  const worlds = new Map<string, World>()
  const worldOf = (name: string): World => {
    const known = worlds.get(name)
    if (known !== undefined) return known
    const config = named.get(name)
    if (config === undefined) throw new Error(`there is no world ${name} beside the rows`)
    const world = recordedWorld(config, config.base === undefined ? undefined : bases.get(config.base))
    worlds.set(name, world)
    return world
  }
  for (const row of rows) {
    try {
      yield 'workload' in row ? judgeAccess(worldOf(row.config), row) : judge(worldOf(row.config), row)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      yield 'workload' in row ? { id: row.id, pass: false, got: 'deny', why } : { id: row.id, pass: false, got: { outcome: 'unknown' }, why }
    }
  }
}
