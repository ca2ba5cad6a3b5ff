import path from 'node:path'
import { styleText } from 'node:util'
import type { Context } from '../context.ts'
import type { Ports } from './ports.ts'

interface Welcome {
  readonly context: Context
  readonly dir: string
  readonly ports: Ports
  readonly shop: boolean
  readonly rate: number
  readonly caFile: string
  /** Of a request through the gateway; undefined: none was made. */
  readonly firstStatus: number | undefined
  /** From the command's begin to that request's answer. */
  readonly seconds: number
}

const relative = (file: string): string => {
  const near = path.relative(process.cwd(), file)
  return near.startsWith('..') ? file : near || '.'
}

/** What to open and what to try, once everything runs. */
export function welcome({ context, dir, ports, shop, rate, caFile, firstStatus, seconds }: Welcome): string {
  const row = (label: string, value: string): string => `  ${styleText('dim', label.padEnd(9))} ${value}`
  const lines = [
    '',
    styleText('bold', `  Weft is up, ${seconds.toFixed(1)} s after the start.`),
    '',
    row('console', `${context.server}/#key=${context.apiKey}&mesh=${context.organization}/${context.mesh}`),
    row('REST', `${context.server}/api/v1 (described at ${context.server}/docs)`),
    row('API key', `${context.apiKey} (stored for the weft command)`),
    row('kubectl', `kubectl --kubeconfig ${relative(path.join(dir, 'kubeconfig'))} get virtualservices -A`),
    row('gateway', `https://127.0.0.1:${ports.gatewayHttps} for api.example.com`),
    row('data', `${relative(dir)}, logs in ${relative(path.join(dir, 'logs'))}`),
  ]
  if (shop) {
    lines.push(
      '',
      `  ${rate > 0 ? `The shop's client makes ${rate} orders a second. ` : ''}${firstStatus === undefined ? '' : `A request through the gateway was answered ${firstStatus}.`}`.trimEnd(),
      '  Try, in another terminal:',
      '',
      `    curl --resolve api.example.com:${ports.gatewayHttps}:127.0.0.1 --cacert ${relative(caFile)} https://api.example.com:${ports.gatewayHttps}/orders`,
      '    npm run -s weft -- apply -f examples/shop/release/3-half.yaml --wait',
      '    npm run -s weft -- explain --from client.prod POST http://payment-service:8080/api/pay',
    )
  }
  lines.push('', styleText('dim', '  Ctrl-C ends everything; the next start goes on from here.'))
  return `${lines.join('\n')}\n\n`
}
