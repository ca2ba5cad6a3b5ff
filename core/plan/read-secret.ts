import {
  CertificateValidationContextSchema, TlsCertificateSchema,
} from '../wire/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts'
import { type Secret, SecretSchema } from '../wire/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import type { SecretPlan } from './secret.ts'
import { at, type Read, type Reading, readResource } from './read.ts'
import { readText } from './read-value.ts'

/** Secret → certificate with key, or roots. Faults never hold the key. */
export function readSecret(bytes: Uint8Array, version: string): Read<SecretPlan> {
  return readResource(SecretSchema, bytes, (reading, message) => readOne(reading, message, version))
}

function readOne(reading: Reading, message: Secret, version: string): SecretPlan | undefined {
  const { name, type } = message
  reading.only('', SecretSchema, message, ['name', 'tls_certificate', 'validation_context'])
  if (name === '') reading.invalid('name', 'is missing')
  switch (type.case) {
    case 'tlsCertificate':
      reading.only('tls_certificate', TlsCertificateSchema, type.value, ['certificate_chain', 'private_key'])
      return {
        kind: 'certificate',
        name,
        version,
        chainPem: readPem(reading, 'tls_certificate.certificate_chain', type.value.certificateChain, 'CERTIFICATE-----'),
        keyPem: readPem(reading, 'tls_certificate.private_key', type.value.privateKey, 'PRIVATE KEY-----'),
      }
    case 'validationContext':
      reading.only('validation_context', CertificateValidationContextSchema, type.value, ['trusted_ca', 'crl'])
      return { kind: 'trust', name, version, rootsPem: readPem(reading, at('validation_context', 'trusted_ca'), type.value.trustedCa, 'CERTIFICATE-----'), ...(type.value.crl === undefined ? {} : { revokedPem: readPem(reading, at('validation_context', 'crl'), type.value.crl, 'X509 CRL-----') }) }
    default:
      if (type.case === undefined) reading.invalid('', 'holds nothing')
      return undefined
  }
}

function readPem(reading: Reading, path: string, source: Parameters<typeof readText>[2], label: string): string {
  const text = readText(reading, path, source)
  if (text === undefined) {
    if (source?.specifier.case === undefined) reading.invalid(path, 'is missing')
    return ''
  }
  if (!text.includes('-----BEGIN ') || !text.includes(label)) reading.invalid(path, `is no PEM with ${label.replace('-----', '')}`)
  return text
}
