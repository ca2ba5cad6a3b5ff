import type { ExitCode } from '../exit-codes.ts'
import { runUntilSignal } from './proxy.ts'

export const usage = `weft gateway [--xds HOST:PORT] [--xds-root FILE] [--join-token-file FILE] [--name NAME] [--namespace NS] [--labels k=v,…]
             [--gateway-address IP] [--gateway-ports '{"443":8443}'] [--admin IP:PORT] …

Runs an ingress gateway: the ports of the Gateway resources that select its labels. Each flag is also a variable, WEFT_….`

export const run = (args: string[]): Promise<ExitCode> => runUntilSignal('router', args)
