import { spawnSync } from 'node:child_process'
import { type CapturePlan, captureText, iptablesText, removalText } from './rules.ts'

/** Puts the rules in force, by nftables, or by iptables where there is no `nft`. Safe to call again. @throws Error with the tool's own words */
export function installCapture(plan: CapturePlan): 'nftables' | 'iptables' {
  if (has('nft')) {
    run('nft', ['-f', '-'], captureText(plan))
    return 'nftables'
  }
  for (const family of [4, 6] as const) {
    const tool = family === 4 ? 'iptables' : 'ip6tables'
    run(`${tool}-restore`, ['--noflush'], iptablesText(plan, family))
    for (const [hook, chain] of [['OUTPUT', 'WEFT_OUTBOUND'], ['PREROUTING', 'WEFT_INBOUND']] as const) {
      const rule = [hook, '-p', 'tcp', '-j', chain]
      if (spawnSync(tool, ['-t', 'nat', '-C', ...rule]).status !== 0) run(tool, ['-t', 'nat', '-A', ...rule], '')
    }
  }
  return 'iptables'
}

/** Takes all rules of ours away; others are left alone. */
export function removeCapture(): void {
  if (has('nft')) return run('nft', ['-f', '-'], removalText)
  for (const tool of ['iptables', 'ip6tables']) {
    for (const [hook, chain] of [['OUTPUT', 'WEFT_OUTBOUND'], ['PREROUTING', 'WEFT_INBOUND']] as const) {
      // Each fails when the rule is not there, which is as it should be.
      spawnSync(tool, ['-t', 'nat', '-D', hook, '-p', 'tcp', '-j', chain])
      spawnSync(tool, ['-t', 'nat', '-F', chain])
      spawnSync(tool, ['-t', 'nat', '-X', chain])
    }
  }
}

const has = (tool: string): boolean => spawnSync(tool, ['--version']).error === undefined

function run(tool: string, parameters: readonly string[], input: string): void {
  const { error, status, stderr } = spawnSync(tool, parameters, { input, encoding: 'utf8' })
  if (error !== undefined) throw new Error(`${tool}: ${error.message}`)
  if (status !== 0) throw new Error(`${tool} ended with ${status}: ${stderr.trim()}`)
}
