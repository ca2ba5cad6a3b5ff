/** What is captured of a host's or a pod's traffic, and what is left alone. Ports in 1..65535; ranges as `10.0.0.0/8` or `fd00::/8`. */
export interface CapturePlan {
  readonly outboundPort: number
  readonly inboundPort: number
  /** Where look-ups go (port 53, UDP and TCP), whoever they were for; undefined: where they were going. */
  readonly dnsPort?: number
  /** User ids whose traffic is never captured: the proxy's own, lest it capture itself. */
  readonly excludedUids: readonly number[]
  readonly excludedOutboundPorts: readonly number[]
  readonly excludedInboundPorts: readonly number[]
  readonly excludedRanges: readonly string[]
  /** Only these destinations are captured; empty: all. */
  readonly includedRanges: readonly string[]
}

/** The proxy's own ports: admin, metrics, readiness and probes answer for themselves. */
const OWN_PORTS = [15_000, 15_001, 15_006, 15_020, 15_021, 15_090]

const TABLE = 'weft_capture'

/**
 * By what a proxy proves that the rules are there (`proof.ts`): connections to these ports, from where nobody calls by chance, are redirected whoever makes them, the proxy too. Of IPv4 from and to `address`,
 * of IPv6 from loopback to any address that is not.
 */
export const PROOF = { address: '127.0.0.6', outboundPort: 15_002, inboundPort: 15_003 } as const

/** Takes the rules away; no failure when there are none. */
export const removalText = `add table inet ${TABLE}\ndelete table inet ${TABLE}\n`

/**
 * Rules in nftables' language, for `nft -f`: one table, replaced whole in one transaction, so that a second run changes nothing and a change leaves no gap.
 * Outgoing connections are redirected to the outbound port, except the proxy's own, those within the machine, and what is excluded; incoming ones to the inbound port.
 * One table holds both address families (kernel 5.2 on). What proves the rules stands in the same transaction, and leads through the same rule as what comes in.
 */
export function captureText(plan: CapturePlan): string {
  const four = (ranges: readonly string[]) => ranges.filter((range) => !range.includes(':'))
  const six = (ranges: readonly string[]) => ranges.filter((range) => range.includes(':'))
  const set = (values: readonly (string | number)[]) => `{ ${[...new Set(values)].join(', ')} }`
  const when = (values: readonly (string | number)[], rule: string): string[] => (values.length === 0 ? [] : [rule])
  const excludedFour = four(plan.excludedRanges)
  const excludedSix = six(plan.excludedRanges)
  const outbound = [
    ...proving(PROOF.outboundPort).map((rule) => `${rule} redirect to :${plan.outboundPort}`),
    ...proving(PROOF.inboundPort).map((rule) => `${rule} jump redirect_inbound`),
    ...when(plan.excludedUids, `meta skuid ${set(plan.excludedUids)} return`),
    // Before what is left alone: a host's resolver is often on loopback.
    ...(plan.dnsPort === undefined ? [] : [`meta l4proto { tcp, udp } th dport 53 redirect to :${plan.dnsPort}`]),
    // An application that calls itself by a loopback address stays within itself.
    'ip daddr 127.0.0.0/8 return',
    'ip6 daddr ::1 return',
    ...when(plan.excludedOutboundPorts, `tcp dport ${set(plan.excludedOutboundPorts)} return`),
    ...when(excludedFour, `ip daddr ${set(excludedFour)} return`),
    ...when(excludedSix, `ip6 daddr ${set(excludedSix)} return`),
    ...(plan.includedRanges.length === 0
      ? [`meta l4proto tcp redirect to :${plan.outboundPort}`]
      : [
          ...when(four(plan.includedRanges), `ip daddr ${set(four(plan.includedRanges))} meta l4proto tcp redirect to :${plan.outboundPort}`),
          ...when(six(plan.includedRanges), `ip6 daddr ${set(six(plan.includedRanges))} meta l4proto tcp redirect to :${plan.outboundPort}`),
        ]),
  ]
  const inbound = ['iifname "lo" return', `tcp dport ${set([...OWN_PORTS, plan.outboundPort, plan.inboundPort, ...plan.excludedInboundPorts])} return`, 'jump redirect_inbound']
  const chain = (name: string, hook: string, rules: readonly string[]) => `  chain ${name} {\n    type nat hook ${hook} priority -100; policy accept;\n${rules.map((rule) => `    ${rule}\n`).join('')}  }\n`
  return `${removalText}table inet ${TABLE} {\n  chain redirect_inbound {\n    meta l4proto tcp redirect to :${plan.inboundPort}\n  }\n${chain('outbound', 'output', outbound)}${chain('inbound', 'prerouting', inbound)}}\n`
}

const proving = (port: number): string[] => [`ip saddr ${PROOF.address} ip daddr ${PROOF.address} tcp dport ${port}`, `ip6 saddr ::1 ip6 daddr != ::1 tcp dport ${port}`]

/** Our own, each before what it leads to is taken away. */
export const CHAINS = ['WEFT_OUTBOUND', 'WEFT_INBOUND', 'WEFT_REDIRECT']

/** The same for iptables-restore (`--noflush`), for machines without nft: one text for each family, with chains of our own that are emptied first. `hooks`: rules that lead to them and are not there yet. */
export function iptablesText(plan: CapturePlan, family: 4 | 6, hooks: readonly string[]): string {
  const of = (ranges: readonly string[]) => ranges.filter((range) => range.includes(':') === (family === 6))
  const proving = family === 4 ? `-s ${PROOF.address} -d ${PROOF.address}` : '-s ::1/128 ! -d ::1/128'
  const out = [
    `${proving} -p tcp --dport ${PROOF.outboundPort} -j REDIRECT --to-ports ${plan.outboundPort}`,
    `${proving} -p tcp --dport ${PROOF.inboundPort} -j WEFT_REDIRECT`,
    ...plan.excludedUids.map((uid) => `-m owner --uid-owner ${uid} -j RETURN`),
    ...(plan.dnsPort === undefined ? [] : ['udp', 'tcp'].map((protocol) => `-p ${protocol} --dport 53 -j REDIRECT --to-ports ${plan.dnsPort}`)),
    `-d ${family === 4 ? '127.0.0.0/8' : '::1/128'} -j RETURN`,
    ...plan.excludedOutboundPorts.map((port) => `-p tcp --dport ${port} -j RETURN`),
    ...of(plan.excludedRanges).map((range) => `-d ${range} -j RETURN`),
    ...(plan.includedRanges.length === 0 ? [''] : of(plan.includedRanges).map((range) => `-d ${range} `)).map((to) => `${to}-p tcp -j REDIRECT --to-ports ${plan.outboundPort}`),
  ]
  const into = [
    '-i lo -j RETURN',
    ...[...new Set([...OWN_PORTS, plan.outboundPort, plan.inboundPort, ...plan.excludedInboundPorts])].map((port) => `-p tcp --dport ${port} -j RETURN`),
    '-p tcp -j WEFT_REDIRECT',
  ]
  const lines = [`-A WEFT_REDIRECT -p tcp -j REDIRECT --to-ports ${plan.inboundPort}`, ...out.map((rule) => `-A WEFT_OUTBOUND ${rule}`), ...into.map((rule) => `-A WEFT_INBOUND ${rule}`), ...hooks.map((rule) => `-A ${rule}`)]
  return `*nat\n${CHAINS.map((chain) => `:${chain} - [0:0]\n`).join('')}${CHAINS.map((chain) => `-F ${chain}\n`).join('')}${lines.join('\n')}\nCOMMIT\n`
}
