import { z } from 'zod'
import { duration, durationOrZero, flag, int32, judged, text, textMap, texts } from './field.ts'
import type { Complaint } from './field.ts'
import { fault, warning } from '../fault/fault.ts'
import type { Fault } from '../fault/fault.ts'
import { tcpKeepalive } from './connection-pool.ts'
import { durationNs } from './duration.ts'
import { extensionProvider } from './extension-provider.ts'
import { wildcardDomainComplaint } from './host-name.ts'
import type { ResourceKind } from './kind.ts'
import { localityLbSetting } from './load-balancer.ts'
import { meshProxyConfig } from './mesh-proxy-config.ts'
import type { ResourceObject } from './object.ts'
import { clientTls } from './traffic-policy.ts'
import { retries } from './virtual-service-http.ts'

const TRUST_LABEL = /^[a-zA-Z0-9](?:[-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/

function trustDomainComplaint(value: string): string | undefined {
  const labels = value.split('.')
  const last = labels.length - 1
  if (value === '') return 'a trust domain'
  return labels.every((label, index) => TRUST_LABEL.test(label) || (index === last && index > 0 && label === '')) ? undefined : 'a trust domain: labels of letters, digits and dashes, with dots between'
}

const trustDomain = text().superRefine(
  judged(function* (value: string): Iterable<Complaint> {
    const complaint = trustDomainComplaint(value)
    if (complaint !== undefined) yield { rule: complaint }
  }),
)

const tlsConfig = {
  minProtocolVersion: z.enum(['TLS_AUTO', 'TLSV1_2', 'TLSV1_3']).optional().describe('TLS version, at least; 1.2 by default.'),
  ecdhCurves: texts().optional().describe('Curves of the key exchange, by name.'),
  cipherSuites: texts().optional().describe('Cipher suites for TLS 1.2.'),
}

const meshMtls = z.strictObject(tlsConfig).superRefine(
  judged(function* (value): Iterable<Complaint> {
    if (value.ecdhCurves?.length) yield { at: ['ecdhCurves'], code: 'object.field-conflict', rule: 'not for mTLS within the mesh' }
  }),
)

const requirement = z.strictObject({ key: text().describe('The label.'), operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']).describe('What must hold.'), values: texts().optional().describe('Values, for In and NotIn.') })
const kubeSelector = z.strictObject({ matchLabels: textMap().optional().describe('Labels that must be there.'), matchExpressions: z.array(requirement).optional().describe('Conditions that must hold.') })
const exportTo = (what: string) => texts().optional().describe(`Namespaces that see ${what} whose exportTo is not set: . its own, * all (the default), ~ none.`)

const meshConfigSpec = z.strictObject({
  proxyListenPort: z.int().min(1).max(65535).optional().describe('Port of captured outbound traffic; 15001 by default.'),
  proxyInboundListenPort: int32().optional().describe('Port of captured inbound traffic; 15006 by default.'),
  proxyHttpPort: int32().optional().describe('Port for requests in the manner of an HTTP proxy; none by default.'),
  connectTimeout: duration()
    .superRefine(judged(function* (value: string): Iterable<Complaint> {
      if ((durationNs(value) ?? 0) > 3600e9) yield { rule: 'at most 1h' }
    }))
    .optional()
    .describe('The bound of a connection attempt; 10s by default.'),
  protocolDetectionTimeout: z
    .string()
    .superRefine(judged(function* (value: string): Iterable<Complaint> {
      const ns = durationNs(value)
      if (ns === undefined) yield { rule: 'a duration such as 5s, or 0s', code: 'object.field-type' }
      else if (ns % 1e6 !== 0) yield { rule: 'a duration in whole milliseconds' }
    }))
    .optional()
    .describe('How long a protocol is waited for; 0s (the default): for ever.'),
  tcpKeepalive: tcpKeepalive.optional().describe('TCP keepalive of all connections.'),
  ingressClass: text().optional().describe('Class of Ingress objects that count.'),
  ingressService: text().optional().describe('Service of the ingress gateway; istio-ingressgateway by default.'),
  ingressControllerMode: z.enum(['UNSPECIFIED', 'OFF', 'DEFAULT', 'STRICT']).optional().describe('Which Ingress objects count; STRICT by default.'),
  ingressSelector: text().optional().describe('Label istio of the gateway that serves Ingress objects; ingressgateway by default.'),
  enableTracing: flag().optional().describe('Whether spans are made.'),
  accessLogFile: text().optional().describe('File of access logs, such as /dev/stdout; none by default.'),
  accessLogFormat: text().optional().describe('Format of access logs, as Envoy has it.'),
  accessLogEncoding: z.enum(['TEXT', 'JSON']).optional().describe('Access logs as TEXT (the default) or JSON.'),
  enableEnvoyAccessLogService: flag().optional().describe('Whether access logs go to a service by gRPC; false by default.'),
  disableEnvoyListenerLog: flag().optional().describe('Whether connections that no chain takes are not logged; false by default.'),
  defaultConfig: meshProxyConfig.optional().describe('What every proxy starts with.'),
  outboundTrafficPolicy: z.strictObject({ mode: z.enum(['REGISTRY_ONLY', 'ALLOW_ANY', 'ALLOW_ANY_DYNAMIC_DNS']).optional().describe('Whether hosts that nothing describes may be called, and by what address: ALLOW_ANY, the default, as the caller resolved it; ALLOW_ANY_DYNAMIC_DNS, as the proxy resolves the name in an HTTP request.') }).optional().describe('What becomes of traffic to unknown hosts.'),
  inboundTrafficPolicy: z.strictObject({ mode: z.enum(['PASSTHROUGH', 'LOCALHOST']).optional().describe('Whether applications listen on their address (PASSTHROUGH, the default) or on localhost.') }).optional().describe('Where inbound traffic goes.'),
  configSources: z
    .array(z.strictObject({ address: text().optional().describe('xds://, k8s:// or fs:// and where.'), tlsSettings: clientTls.optional().describe('How connections to it are secured.'), subscribedResources: z.array(z.enum(['SERVICE_REGISTRY'])).optional().describe('What it holds.') }))
    .optional()
    .describe('Further sources of configuration.'),
  enableAutoMtls: flag().optional().describe('Whether sidecars use mTLS where the other side can; true by default.'),
  trustDomain: trustDomain.optional().describe('The trust domain; cluster.local by default.'),
  trustDomainAliases: z.array(trustDomain).optional().describe('Trust domains that count as the same.'),
  caCertificates: z
    .array(
      z.strictObject({
        pem: text().optional().describe('The certificate.'),
        spiffeBundleUrl: text().optional().describe('Where a bundle is read.'),
        certSigners: texts().optional().describe('Signers for which it counts.'),
        trustDomains: texts().optional().describe('Trust domains for which it counts.'),
      }),
    )
    .optional()
    .describe('Further roots for connections between workloads.'),
  defaultServiceExportTo: exportTo('services and ServiceEntries'),
  defaultVirtualServiceExportTo: exportTo('VirtualServices'),
  defaultDestinationRuleExportTo: exportTo('DestinationRules'),
  rootNamespace: text().optional().describe('The namespace whose objects count for all; istio-system by default.'),
  localityLbSetting: localityLbSetting.optional().describe('Shares and failover by locality.'),
  dnsRefreshRate: durationOrZero().optional().describe('How often names are resolved; 60s by default.'),
  h2UpgradePolicy: z.enum(['DO_NOT_UPGRADE', 'UPGRADE']).optional().describe('Whether HTTP/1.1 between sidecars becomes HTTP/2; DO_NOT_UPGRADE by default.'),
  inboundClusterStatName: text().optional().describe('Pattern of inbound clusters’ names in metrics.'),
  outboundClusterStatName: text().optional().describe('Pattern of outbound clusters’ names in metrics.'),
  certificates: z.array(z.strictObject({ secretName: text().optional().describe('The Secret.'), dnsNames: texts().optional().describe('Names.') })).optional().describe('Deprecated: DNS certificates.'),
  serviceSettings: z
    .array(z.strictObject({ settings: z.strictObject({ clusterLocal: flag().optional().describe('Whether only endpoints of the caller’s cluster are called.') }).optional().describe('The settings.'), hosts: texts().optional().describe('Services, with * for many.') }))
    .superRefine(judged(function* (list): Iterable<Complaint> {
      for (const [index, one] of list.entries()) {
        for (const [at, host] of (one.hosts ?? []).entries()) {
          const complaint = wildcardDomainComplaint(host)
          if (complaint !== undefined) yield { at: [index, 'hosts', at], value: host, rule: complaint }
        }
      }
    }))
    .optional()
    .describe('Settings of services.'),
  enablePrometheusMerge: flag().optional().describe('Whether metrics of application and proxy are served together; true by default.'),
  verifyCertificateAtClient: flag().optional().describe('Deprecated: whether certificates of servers outside the mesh are verified by default.'),
  ca: z
    .strictObject({ address: text().optional().describe('HOST:PORT of the authority.'), tlsSettings: clientTls.optional().describe('How connections to it are secured.'), requestTimeout: durationOrZero().optional().describe('How long an answer may take; 10s by default.'), istiodSide: flag().optional().describe('Whether the control plane asks, and not the proxy; true by default.') })
    .optional()
    .describe('An authority outside that signs certificates.'),
  extensionProviders: z.array(extensionProvider).optional().describe('Services to which other objects refer by name.'),
  defaultProviders: z
    .strictObject({ tracing: texts().optional().describe('For spans.'), metrics: texts().optional().describe('For metrics.'), accessLogging: texts().optional().describe('For access logs.') })
    .optional()
    .describe('Providers where an object names none.'),
  discoverySelectors: z.array(kubeSelector).optional().describe('Namespaces that count, by label; all by default.'),
  pathNormalization: z.strictObject({ normalization: z.enum(['DEFAULT', 'NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES']).optional().describe('BASE by default: by RFC 3986.') }).optional().describe('How paths are normalized before they are judged.'),
  defaultHttpRetryPolicy: retries.optional().describe('Retries where a route says nothing.'),
  meshMTLS: meshMtls.optional().describe('TLS between workloads.'),
  tlsDefaults: z.strictObject(tlsConfig).optional().describe('TLS elsewhere.'),
  compliancePolicy: text().optional().describe('fips-140-2, or none.'),
})
export type MeshConfigSpec = z.infer<typeof meshConfigSpec>
type MeshConfig = ResourceObject & { readonly spec?: MeshConfigSpec | undefined }

const CURVES = new Set('P-256 P-384 P-521 P-224 X25519 CECPQ2 X25519Kyber768Draft00 X25519MLKEM768'.split(' '))

function check(object: MeshConfig): Fault[] {
  const faults: Fault[] = []
  if (object.metadata.name !== 'default') faults.push(fault('object.name', { path: 'metadata.name', value: object.metadata.name, rule: 'default: a mesh has one MeshConfig' }))
  const seen = new Set<string>()
  for (const [index, curve] of (object.spec?.tlsDefaults?.ecdhCurves ?? []).entries()) {
    const path = `spec.tlsDefaults.ecdhCurves[${index}]`
    if (!CURVES.has(curve)) faults.push(warning('object.field-range', { path, value: curve, rule: `one of ${[...CURVES].join(', ')}` }))
    else if (seen.has(curve)) faults.push(warning('object.field-conflict', { path, value: curve, rule: 'each curve once' }))
    seen.add(curve)
  }
  return faults
}

export const meshConfig: ResourceKind<{ spec?: MeshConfigSpec | undefined }> = {
  group: 'weft.dev',
  versions: ['v1'],
  kind: 'MeshConfig',
  plural: 'meshconfigs',
  singular: 'meshconfig',
  shortNames: [],
  categories: ['weft'],
  namespaced: false,
  description: 'Settings of the whole mesh: the spec is Istio’s mesh file, laid over its defaults.',
  fields: z.strictObject({ spec: meshConfigSpec.optional().describe('The settings.') }),
  check,
  secretFields: [],
  printerColumns: [{ name: 'Trust-Domain', type: 'string', jsonPath: '.spec.trustDomain' }],
  example: { apiVersion: 'weft.dev/v1', kind: 'MeshConfig', metadata: { name: 'default' }, spec: { outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' }, accessLogFile: '/dev/stdout' } },
}
