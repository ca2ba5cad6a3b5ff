import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

const DROPPED = ['--bounding-set=-all', '--inh-caps=-all', '--ambient-caps=-all', '--no-new-privs']

/**
 * What stands before a command so that neither it nor anything it starts has a capability of Linux (capabilities(7)): nothing for a user that has none anyway.
 * Undefined where that cannot be had, for want of util-linux's setpriv or of Linux.
 */
export function withoutCapabilities(): readonly string[] | undefined {
  if (process.platform !== 'linux') return undefined
  if (capabilitiesOf(process.pid).length === 0) return []
  return spawnSync('setpriv', [...DROPPED, 'true']).status === 0 ? ['setpriv', ...DROPPED] : undefined
}

/** What a process has or could take up of them, as lines of its /proc/PID/status (`CapEff: 00000000000004c0` …); empty for one without any. */
export const capabilitiesOf = (pid: number): readonly string[] => readFileSync(`/proc/${pid}/status`, 'utf8').match(/^Cap(?:Inh|Prm|Eff|Amb):.*[1-9a-f].*$/gm) ?? []
