import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { root } from './shop.ts'

/** What the suites of the shop apply: the operators' own files, and what the tests say in their place. */

const shared = path.resolve(root, '../shared/data/shop')
const own = path.join(root, 'test/mesh/config')
const sharedNames: Record<string, string> = {
  'canary.yaml': '20-canary.yaml',
  'destination-rule.yaml': '21-destination-rule.yaml',
  'gateway.yaml': '30-gateway.yaml',
  'timeout-retries.yaml': '40-timeout-retries.yaml',
  'strict-mtls.yaml': '50-strict-mtls.yaml',
  'payment-authz.yaml': '51-payment-authz.yaml',
  'mirror.yaml': '60-mirror.yaml',
}

/** The operators' own files where they stand beside the repository, else the same meaning in ours. */
export const config = (name: string): string => (existsSync(shared) ? path.join(shared, sharedNames[name] ?? name) : path.join(own, name))

export const orders = { host: 'order-service:8080', path: '/orders' }

/** Weights of the order service's two versions. */
export const split = (first: number, second: number): string => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: order-service, namespace: prod }
spec:
  hosts: [order-service]
  http:
  - route:
    - { destination: { host: order-service, subset: v1 }, weight: ${first} }
    - { destination: { host: order-service, subset: v2 }, weight: ${second} }
`

/** The order service's versions, without limits or ejection. */
export const subsetsAlone = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: order-service, namespace: prod }
spec:
  host: order-service
  subsets:
  - { name: v1, labels: { version: v1 } }
  - { name: v2, labels: { version: v2 } }
`

/** The operators' rule with times that a test can wait for. */
export const quickEjection = (): string =>
  readFileSync(config('destination-rule.yaml'), 'utf8')
    .replace(/interval: 10s/, 'interval: 1s')
    .replace(/baseEjectionTime: 30s/, 'baseEjectionTime: 2s\n      maxEjectionPercent: 100')
    // Where the rule is written in one line.
    .replace(/outlierDetection: \{([^}]*)\}/, (_, inner: string) => `outlierDetection: {${inner.replace('\n      maxEjectionPercent: 100', ', maxEjectionPercent: 100')}}`)

/** One connection, and a hundred requests that wait for it. */
export const oneConnection = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: order-service, namespace: prod }
spec:
  host: order-service
  trafficPolicy:
    connectionPool:
      tcp: { maxConnections: 1 }
      http: { http1MaxPendingRequests: 100, http2MaxRequests: 1000 }
  subsets:
  - { name: v1, labels: { version: v1 } }
  - { name: v2, labels: { version: v2 } }
`

/** The operators' timeouts and retries, to one version alone. */
export const retriesTo = (version: string): string =>
  readFileSync(config('timeout-retries.yaml'), 'utf8')
    .replace(/host: order-service(?=\s*(\}|$))/m, 'host: order-service.prod.svc.cluster.local')
    .replace(/(\n *)- destination:\n? *(\{ )?host: order-service[^\n]*/, `$1- destination: { host: order-service, subset: ${version} }`)

export const denyReads = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: impact, namespace: prod }
spec: { selector: { matchLabels: { app: order-service } }, action: DENY, rules: [{ to: [{ operation: { methods: [GET] } }] }] }
`

/** A Gateway `blocked` that listens at this port. */
export const gatewayAt = (port: number): string => `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: blocked, namespace: istio-ingress }
spec:
  selector: { istio: ingressgateway }
  servers:
  - port: { number: ${port}, name: http, protocol: HTTP }
    hosts: ["*"]
`

export const secretOf = (certificate: string, key: string): string => `apiVersion: v1
kind: Secret
metadata: { name: broken, namespace: istio-ingress }
type: kubernetes.io/tls
data:
  tls.crt: ${Buffer.from(certificate).toString('base64')}
  tls.key: ${Buffer.from(key).toString('base64')}
`
