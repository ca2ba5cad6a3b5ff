import { z } from 'zod'
import { flag, judged, text, texts } from './field.ts'
import type { Complaint } from './field.ts'
import { warning } from '../fault/fault.ts'
import type { Fault } from '../fault/fault.ts'
import { isCipherSuite } from './cipher-suite.ts'

const version = z.enum(['TLS_AUTO', 'TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3'])

/** Istio's ServerTLSSettings, of a Gateway's server and a Sidecar's ingress. */
export const serverTls = z
  .strictObject({
    httpsRedirect: flag().optional().describe('Answers plain HTTP with a redirect to https.'),
    mode: z.enum(['PASSTHROUGH', 'SIMPLE', 'MUTUAL', 'AUTO_PASSTHROUGH', 'ISTIO_MUTUAL', 'OPTIONAL_MUTUAL']).optional().describe('Whether TLS ends here and whether clients show a certificate; PASSTHROUGH by default.'),
    serverCertificate: text().optional().describe('File of the server certificate.'),
    privateKey: text().optional().describe('File of its private key.'),
    caCertificates: text().optional().describe('File of the certificates to verify clients with.'),
    caCrl: text().optional().describe('File of revoked certificates.'),
    credentialName: text().optional().describe('Secret with certificate and key (and ca.crt), in the namespace of the gateway.'),
    credentialNames: z.array(z.string()).min(1).max(2).optional().describe('Secrets for two kinds of key, such as RSA and ECDSA.'),
    caCertCredentialName: text().optional().describe('Secret with the certificates to verify clients with.'),
    tlsCertificates: z
      .array(
        z.strictObject({
          serverCertificate: text().optional().describe('File of the server certificate.'),
          privateKey: text().optional().describe('File of its private key.'),
          caCertificates: text().optional().describe('File of authorities.'),
        }),
      )
      .min(1)
      .max(2)
      .optional()
      .describe('Certificates for two kinds of key, by file.'),
    subjectAltNames: texts().optional().describe('Names, one of which a client’s certificate must bear.'),
    verifyCertificateSpki: texts().optional().describe('SHA-256 of client keys that are accepted, base64.'),
    verifyCertificateHash: texts().optional().describe('SHA-256 of client certificates that are accepted, hex.'),
    minProtocolVersion: version.optional().describe('TLS version, at least; 1.2 by default.'),
    maxProtocolVersion: version.optional().describe('TLS version, at most.'),
    cipherSuites: texts().optional().describe('Cipher suites for TLS 1.2 and below.'),
    insecureSkipVerify: flag().optional().describe('Does not verify client certificates.'),
  })
  .superRefine(judged(serverTlsComplaints))
export type ServerTls = z.infer<typeof serverTls>

interface Parts {
  mode?: string | undefined
  serverCertificate?: string | undefined
  privateKey?: string | undefined
  caCertificates?: string | undefined
  caCrl?: string | undefined
  credentialName?: string | undefined
  credentialNames?: string[] | undefined
  caCertCredentialName?: string | undefined
  insecureSkipVerify?: boolean | undefined
  subjectAltNames?: string[] | undefined
  tlsCertificates?: { serverCertificate?: string | undefined; privateKey?: string | undefined; caCertificates?: string | undefined }[] | undefined
}

const PASSING = ['PASSTHROUGH', 'AUTO_PASSTHROUGH']
const CERTIFICATES = ['serverCertificate', 'privateKey', 'caCertificates', 'caCrl', 'credentialName', 'credentialNames', 'tlsCertificates'] as const

/** What is taken and does not do what it looks like. `path` leads to the settings. */
export function serverTlsWarnings(tls: ServerTls, path: string): Fault[] {
  const faults: Fault[] = []
  const mode = tls.mode ?? 'PASSTHROUGH'
  if (['TLSV1_0', 'TLSV1_1'].includes(tls.minProtocolVersion ?? '') && !tls.cipherSuites?.length) {
    faults.push(warning('object.field-range', { path: `${path}.minProtocolVersion`, value: tls.minProtocolVersion, rule: 'with cipherSuites: those that are offered by default serve TLS 1.2 and above alone' }))
  }
  for (const [at, suite] of (tls.cipherSuites ?? []).entries()) {
    if (!isCipherSuite(suite)) faults.push(warning('object.field-range', { path: `${path}.cipherSuites[${at}]`, value: suite, rule: 'a cipher suite by its OpenSSL name; it is left out' }))
    else if (tls.cipherSuites?.indexOf(suite) !== at) faults.push(warning('object.field-conflict', { path: `${path}.cipherSuites[${at}]`, value: suite, rule: 'each cipher suite once; it is left out' }))
  }
  const unused = PASSING.includes(mode) ? CERTIFICATES.find((field) => tls[field]?.length) : undefined
  if (unused !== undefined) faults.push(warning('object.field-inert', { path: `${path}.${unused}`, rule: `mode ${mode} uses no certificates: TLS does not end here` }))
  return faults
}

function* serverTlsComplaints(tls: Parts): Iterable<Complaint> {
  const mode = tls.mode ?? 'PASSTHROUGH'
  if (mode === 'ISTIO_MUTUAL') {
    for (const field of ['serverCertificate', 'privateKey', 'caCertificates', 'credentialName', 'credentialNames', 'tlsCertificates'] as const) {
      if (tls[field]) yield { at: [field], code: 'object.field-conflict', rule: 'not for mode ISTIO_MUTUAL, where the mesh issues certificates' }
    }
    return
  }
  const files = Boolean(tls.serverCertificate || tls.privateKey)
  // Beside a credentialName Istio passes over half a pair of files without a word.
  const pair = Boolean(tls.serverCertificate && tls.privateKey)
  const ways = [Boolean(tls.credentialName), Boolean(tls.credentialNames?.length), tls.credentialName ? pair : files, Boolean(tls.tlsCertificates?.length)].filter(Boolean).length
  if (ways > 1) {
    yield { at: [tls.tlsCertificates?.length ? 'tlsCertificates' : tls.credentialNames?.length ? 'credentialNames' : 'serverCertificate'], code: 'object.field-conflict', rule: 'only one of credentialName, credentialNames, serverCertificate with privateKey, tlsCertificates may be set' }
    return
  }
  if (PASSING.includes(mode)) return
  if (tls.credentialName || tls.credentialNames?.length) return
  if (mode === 'SIMPLE' && tls.caCrl) yield { at: ['caCrl'], code: 'object.field-conflict', rule: 'not for mode SIMPLE, where clients show no certificate' }
  if (tls.tlsCertificates?.length) {
    for (const [index, one] of tls.tlsCertificates.entries()) {
      for (const field of ['serverCertificate', 'privateKey'] as const) if (!one[field]) yield { at: ['tlsCertificates', index, field], code: 'object.field-required', rule: `needed for mode ${mode}` }
    }
    if (mode !== 'SIMPLE' && !tls.caCertificates && !tls.caCertCredentialName && !tls.tlsCertificates.some((one) => one.caCertificates)) yield { at: ['caCertificates'], code: 'object.field-required', rule: `needed for mode ${mode}, to verify clients with` }
    return
  }
  for (const field of ['serverCertificate', 'privateKey'] as const) if (!tls[field]) yield { at: [field], code: 'object.field-required', rule: `credentialName, or serverCertificate and privateKey, for mode ${mode}` }
  if (mode !== 'SIMPLE' && !tls.caCertificates && !tls.caCertCredentialName) yield { at: ['caCertificates'], code: 'object.field-required', rule: `needed for mode ${mode}, to verify clients with` }
}
