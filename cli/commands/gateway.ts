import type { ExitCode } from '../exit-codes.ts'
import { runUntilSignal } from './proxy.ts'

export const usage = `weft gateway [--xds HOST:PORT] [--xds-root FILE] [--join-token-file FILE] [--name NAME] [--namespace NS] [--labels k=v,…]
             [--gateway-address IP] [--gateway-ports '{"443":8443}'] [--gateway-topology JSON] [--admin IP:PORT] [--engine weft|envoy]
             [--connections-max N] [--address-connections-max N] [--requests-max N] [--memory-max-mb N] [--stall-seconds N] [--drain-delay-seconds N] [--drain-seconds N] …

Runs an ingress gateway: the ports of the Gateway resources that select its labels. What it takes upon itself at most, and how it ends behind a
balancer: docs/reference/gateway.md. Each flag is also a variable, WEFT_….`

export const run = (args: string[]): Promise<ExitCode> => runUntilSignal('router', args)
