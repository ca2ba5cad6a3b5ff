import { spawnSync } from 'node:child_process'
import { type CapturePlan, captureText, CHAINS, iptablesText, removalText } from './rules.ts'

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
    const wanted = HOOKS.filter((rule) => rule !== DNS_HOOK || plan.dnsPort !== undefined)
    const isThere = (rule: readonly string[]): boolean => spawnSync(tool, ['-t', 'nat', '-C', ...rule]).status === 0
    // With the chains in one transaction: a proof of one is a proof of all.
    run(`${tool}-restore`, ['--noflush'], iptablesText(plan, family, wanted.filter((rule) => !isThere(rule)).map((rule) => rule.join(' '))))
    if (!wanted.includes(DNS_HOOK) && isThere(DNS_HOOK)) run(tool, ['-t', 'nat', '-D', ...DNS_HOOK], '')
  }
  return 'iptables'
}

/** Takes all rules of ours away; others are left alone. */
export function removeCapture(): void {
  if (has('nft')) return run('nft', ['-f', '-'], removalText)
  for (const tool of ['iptables', 'ip6tables']) {
    // Each fails when the rule is not there, which is as it should be.
    for (const rule of HOOKS) spawnSync(tool, ['-t', 'nat', '-D', ...rule])
    for (const chain of CHAINS) {
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
