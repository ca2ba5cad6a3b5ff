import { spawnSync } from 'node:child_process'
import { type CapturePlan, captureText, iptablesText, removalText } from './rules.ts'

const DNS_HOOK = ['OUTPUT', '-p', 'udp', '--dport', '53', '-j', 'WEFT_OUTBOUND']
/** What leads to our chains, where rules are iptables'. */
const HOOKS = [['OUTPUT', '-p', 'tcp', '-j', 'WEFT_OUTBOUND'], ['PREROUTING', '-p', 'tcp', '-j', 'WEFT_INBOUND'], DNS_HOOK]

/** Puts the rules in force, by nftables, or by iptables where there is no `nft`. Safe to call again. @throws Error with the tool's own words */
export function installCapture(plan: CapturePlan): 'nftables' | 'iptables' {
  if (has('nft')) {
    run('nft', ['-f', '-'], captureText(plan))
    return 'nftables'
  }
  for (const family of [4, 6] as const) {
    const tool = family === 4 ? 'iptables' : 'ip6tables'
    run(`${tool}-restore`, ['--noflush'], iptablesText(plan, family))
    for (const rule of HOOKS) {
      const there = spawnSync(tool, ['-t', 'nat', '-C', ...rule]).status === 0
      const wanted = rule !== DNS_HOOK || plan.dnsPort !== undefined
      if (there !== wanted) run(tool, ['-t', 'nat', wanted ? '-A' : '-D', ...rule], '')
    }
  }
  return 'iptables'
}

/** Takes all rules of ours away; others are left alone. */
export function removeCapture(): void {
  if (has('nft')) return run('nft', ['-f', '-'], removalText)
  for (const tool of ['iptables', 'ip6tables']) {
    // Each fails when the rule is not there, which is as it should be.
    for (const rule of HOOKS) spawnSync(tool, ['-t', 'nat', '-D', ...rule])
    for (const chain of ['WEFT_OUTBOUND', 'WEFT_INBOUND']) {
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
