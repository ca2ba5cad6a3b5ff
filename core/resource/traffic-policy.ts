import { z } from 'zod'
import { duration, flag, int32, judged, portNumber, text, texts, uint32 } from './field.ts'
import type { Complaint } from './field.ts'
import { connectionPool } from './connection-pool.ts'
import { loadBalancer } from './load-balancer.ts'

const outlierDetection = z
  .strictObject({
    consecutiveErrors: int32().optional().describe('Deprecated: use consecutive5xxErrors.'),
    splitExternalLocalOriginErrors: flag().optional().describe('Counts errors of this side (timeouts, resets) apart.'),
    consecutiveLocalOriginFailures: uint32().optional().describe('Errors of this side in a row before an endpoint is ejected; 5 by default.'),
    consecutiveGatewayErrors: uint32().optional().describe('502, 503, 504 in a row before an endpoint is ejected; 0 switches it off.'),
    consecutive5xxErrors: uint32().optional().describe('5xx in a row before an endpoint is ejected; 5 by default, 0 switches it off.'),
    interval: duration().optional().describe('Time between sweeps; 10s by default.'),
    baseEjectionTime: duration().optional().describe('How long the first ejection lasts; 30s by default.'),
    maxEjectionPercent: int32().optional().describe('Share of endpoints that may be ejected; 10 by default.'),
    minHealthPercent: int32().optional().describe('Share of healthy endpoints below which none is ejected; 0 by default.'),
    outlierDetectionHttpErrorCodes: z.array(z.int().min(100).max(599)).optional().describe('Status codes that count as errors.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      for (const field of ['maxEjectionPercent', 'minHealthPercent'] as const) {
        const share = value[field] ?? 0
        if (share < 0 || share > 100) yield { at: [field], value: share, rule: '0..100' }
      }
      if ((value.consecutiveErrors ?? 0) < 0) yield { at: ['consecutiveErrors'], value: value.consecutiveErrors, rule: '0 or more' }
      if (value.consecutiveLocalOriginFailures !== undefined && value.consecutiveLocalOriginFailures > 0 && value.splitExternalLocalOriginErrors !== true) {
        yield { at: ['consecutiveLocalOriginFailures'], code: 'object.field-conflict', rule: 'only where splitExternalLocalOriginErrors is true' }
      }
    }),
  )
export type OutlierDetection = z.infer<typeof outlierDetection>

export const clientTls = z
  .strictObject({
    mode: z.enum(['DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL']).optional().describe('Whether and how connections are secured.'),
    clientCertificate: text().optional().describe('File of the client certificate.'),
    privateKey: text().optional().describe('File of its private key.'),
    caCertificates: text().optional().describe('File of the certificates to verify the server with.'),
    credentialName: text().optional().describe('Secret with certificate, key and authorities.'),
    subjectAltNames: texts().optional().describe('Names, one of which the server’s certificate must bear.'),
    sni: text().optional().describe('Server name to ask for.'),
    insecureSkipVerify: flag().optional().describe('Does not verify the server’s certificate.'),
    caCrl: text().optional().describe('File of revoked certificates.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (value.insecureSkipVerify === true && (value.mode === 'SIMPLE' || value.mode === 'MUTUAL')) {
        if (value.caCertificates) yield { at: ['caCertificates'], code: 'object.field-conflict', rule: 'not where insecureSkipVerify is true' }
        if (value.subjectAltNames?.length) yield { at: ['subjectAltNames'], code: 'object.field-conflict', rule: 'not where insecureSkipVerify is true' }
        if (value.mode === 'SIMPLE' && value.credentialName) yield { at: ['credentialName'], code: 'object.field-conflict', rule: 'not where insecureSkipVerify is true' }
      }
      if ((value.mode === 'SIMPLE' || value.mode === 'MUTUAL') && value.credentialName) {
        for (const field of ['clientCertificate', 'privateKey', 'caCertificates', 'caCrl'] as const) if (value[field]) yield { at: [field], code: 'object.field-conflict', rule: 'not together with credentialName' }
        return
      }
      if (value.mode === 'MUTUAL') {
        for (const field of ['clientCertificate', 'privateKey'] as const) if (!value[field]) yield { at: [field], code: 'object.field-required', rule: 'needed for mode MUTUAL' }
      }
    }),
  )
export type ClientTls = z.infer<typeof clientTls>

const policyFields = {
  loadBalancer: loadBalancer.optional().describe('How an endpoint is picked.'),
  connectionPool: connectionPool.optional().describe('Bounds of connections and requests.'),
  outlierDetection: outlierDetection.optional().describe('Keeps endpoints that fail out for a while.'),
  tls: clientTls.optional().describe('How connections are secured.'),
}

const portTrafficPolicy = z
  .strictObject({ port: z.strictObject({ number: z.int().min(0).max(65535).optional().describe('The port of the service.') }).optional().describe('The port.'), ...policyFields })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (!value.port?.number) yield { at: ['port'], code: 'object.field-required', rule: 'the number of a port' }
      if (!value.loadBalancer && !value.connectionPool && !value.outlierDetection && !value.tls) yield { code: 'object.field-required', rule: 'settings of a port set something' }
    }),
  )
export type PortTrafficPolicy = z.infer<typeof portTrafficPolicy>

export const trafficPolicy = z
  .strictObject({
    ...policyFields,
    portLevelSettings: z.array(portTrafficPolicy).max(4096).optional().describe('Settings for single ports, instead of those above.'),
    tunnel: z
      .strictObject({
        protocol: text().optional().describe('CONNECT (the default) or POST.'),
        targetHost: text().describe('The host behind the tunnel.'),
        targetPort: portNumber().describe('Its port.'),
      })
      .superRefine(
        judged(function* (value): Iterable<Complaint> {
          if (value.protocol && value.protocol !== 'CONNECT' && value.protocol !== 'POST') yield { at: ['protocol'], value: value.protocol, rule: 'CONNECT or POST' }
          if (value.targetHost === '' || value.targetHost.includes('*')) yield { at: ['targetHost'], value: value.targetHost, rule: 'a host without wildcards' }
        }),
      )
      .optional()
      .describe('Carries TCP through an HTTP tunnel.'),
    proxyProtocol: z.strictObject({ version: z.enum(['V1', 'V2']).optional().describe('Its version; V1 by default.') }).optional().describe('Sends the PROXY protocol first.'),
    retryBudget: z
      .strictObject({
        percent: z.number().min(0).max(100).optional().describe('Retries as a share of active requests; 20 by default.'),
        minRetryConcurrency: uint32().optional().describe('Retries that are always allowed; 3 by default.'),
      })
      .optional()
      .describe('Bounds retries by what is in flight.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (!Object.values(value).some((one) => one !== undefined && !(Array.isArray(one) && one.length === 0))) yield { code: 'object.field-required', rule: 'a traffic policy sets something' }
      if (value.tunnel !== undefined && value.proxyProtocol !== undefined) yield { at: ['proxyProtocol'], code: 'object.field-conflict', rule: 'not together with tunnel' }
    }),
  )
export type TrafficPolicy = z.infer<typeof trafficPolicy>
