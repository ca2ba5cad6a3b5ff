import path from 'node:path'
import type { Ports } from './ports.ts'

/** One workload of the example shop: an application process and its sidecar process. */
export interface ShopWorkload {
  readonly name: string
  readonly namespace: string
  readonly serviceAccount: string
  readonly labels: Readonly<Record<string, string>>
  readonly app: 'order-service' | 'payment-service' | 'client'
  readonly address: string
  /** Undefined: it only calls. */
  readonly port: number | undefined
}

export const sidecarPorts = { inbound: 15006, outbound: 15001, admin: 15000 } as const

export const gatewayWorkload = { name: 'ingressgateway', namespace: 'istio-ingress', serviceAccount: 'ingressgateway', labels: { istio: 'ingressgateway', app: 'istio-ingressgateway' } } as const

export function shopWorkloads(ports: Ports): ShopWorkload[] {
  const at = (host: number) => `127.0.${ports.block}.${host}`
  const order = { namespace: 'prod', serviceAccount: 'order-service', app: 'order-service', port: 8080 } as const
  return [
    { name: 'order-v1', labels: { app: 'order-service', version: 'v1' }, address: at(2), ...order },
    { name: 'order-v2', labels: { app: 'order-service', version: 'v2' }, address: at(3), ...order },
    { name: 'payment-v1', namespace: 'prod', serviceAccount: 'payment-service', labels: { app: 'payment-service', version: 'v1' }, app: 'payment-service', address: at(4), port: 8080 },
    { name: 'client', namespace: 'prod', serviceAccount: 'client', labels: { app: 'client' }, app: 'client', address: at(5), port: undefined },
  ]
}

export const appFile = (root: string, workload: ShopWorkload): string => path.join(root, 'examples/shop/apps', `${workload.app}.ts`)

export const versionOf = (workload: ShopWorkload): string => workload.labels['version'] ?? 'v1'
