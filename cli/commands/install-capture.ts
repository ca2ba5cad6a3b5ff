import { isIP } from 'node:net'
import { installCapture, removeCapture } from '#proxy/capture/install.ts'
import { type CapturePlan, captureText } from '#proxy/capture/rules.ts'
import { type ExitCode, exitCodes } from '../exit-codes.ts'
import { readArgs, UsageError } from '../usage.ts'

export const usage = `weft proxy install-capture [--outbound-port 15001] [--inbound-port 15006] [--mode REDIRECT] [--dns] [--exclude-uid 1337,…]
           [--exclude-outbound-ports P,…]
           [--exclude-inbound-ports P,…] [--exclude-cidrs CIDR,…] [--include-cidrs CIDR,…] [--print] [--remove]

Redirects this network namespace's TCP connections to the proxy: nftables, or iptables where there is no nft; IPv4 and IPv6. With --dns its
look-ups too, to port 15053 (--dns-port), where a proxy that runs with --dns true answers them. Needs CAP_NET_ADMIN, which the proxy itself does not.
A second run changes nothing. The rules have a place by which the proxy proves them before it is ready. --print shows the rules instead; --remove takes them away. The proxy must run as one of the excluded users.`

const options = {
  'outbound-port': { type: 'string', default: '15001' },
  'inbound-port': { type: 'string', default: '15006' },
  mode: { type: 'string', default: 'REDIRECT' },
  dns: { type: 'boolean', default: false },
  'dns-port': { type: 'string', default: '15053' },
  'exclude-uid': { type: 'string', default: '1337' },
  'exclude-outbound-ports': { type: 'string', default: '' },
  'exclude-inbound-ports': { type: 'string', default: '' },
  'exclude-cidrs': { type: 'string', default: '' },
  'include-cidrs': { type: 'string', default: '' },
  print: { type: 'boolean', default: false },
  remove: { type: 'boolean', default: false },
} as const

export function run(args: string[]): ExitCode {
  const { values } = readArgs(args, options, { min: 0, max: 0 })
  if (values.mode === 'TPROXY') throw new UsageError('--mode: TPROXY is not there: it would keep the caller’s address towards the application, and takes a proxy whose own sockets have CAP_NET_ADMIN (IP_TRANSPARENT). REDIRECT is; x-forwarded-for and the certificate say who calls')
  if (values.mode !== 'REDIRECT') throw new UsageError(`--mode: ${JSON.stringify(values.mode)} is not REDIRECT`)
  const plan: CapturePlan = {
    outboundPort: numbers('outbound-port', values['outbound-port'], 65_535)[0] ?? 15_001,
    inboundPort: numbers('inbound-port', values['inbound-port'], 65_535)[0] ?? 15_006,
    ...(values.dns ? { dnsPort: numbers('dns-port', values['dns-port'], 65_535)[0] ?? 15_053 } : {}),
    excludedUids: numbers('exclude-uid', values['exclude-uid'], 2 ** 32 - 2, 0),
    excludedOutboundPorts: numbers('exclude-outbound-ports', values['exclude-outbound-ports'], 65_535),
    excludedInboundPorts: numbers('exclude-inbound-ports', values['exclude-inbound-ports'], 65_535),
    excludedRanges: ranges('exclude-cidrs', values['exclude-cidrs']),
    includedRanges: ranges('include-cidrs', values['include-cidrs']),
  }
  if (values.print) process.stdout.write(captureText(plan))
  else if (values.remove) removeCapture()
  else process.stderr.write(`capture is in force by ${installCapture(plan)}\n`)
  return exitCodes.done
}

const wordsOf = (text: string): string[] => text.split(',').map((word) => word.trim()).filter((word) => word !== '')

function numbers(flag: string, text: string, max: number, min = 1): number[] {
  return wordsOf(text).map((word) => {
    const value = Number(word)
    if (!/^\d+$/.test(word) || value < min || value > max) throw new UsageError(`--${flag}: ${JSON.stringify(word)} is not in ${min}..${max}`)
    return value
  })
}

function ranges(flag: string, text: string): string[] {
  return wordsOf(text).filter((word) => word !== '*').map((word) => {
    const [address = '', bits] = word.split('/')
    const family = isIP(address)
    if (family === 0 || (bits !== undefined && (!/^\d+$/.test(bits) || Number(bits) > (family === 4 ? 32 : 128)))) throw new UsageError(`--${flag}: ${JSON.stringify(word)} is no address range`)
    return word
  })
}
