import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { fault } from '#core/fault/fault.ts'
import type { Fault } from '#core/fault/fault.ts'
import type { ResourceObject } from '#core/resource/object.ts'

/**
 * What a gateway would stumble over in a Secret with a certificate: PEM that cannot be read, a key that is another certificate's. Faults never hold the values.
 * `object` has its values in `data`, base64.
 */
export function certificateFaults(object: ResourceObject): Fault[] {
  if (object.kind !== 'Secret' || object.apiVersion !== 'v1') return []
  const data = (object['data'] ?? {}) as Readonly<Record<string, string>>
  if (object['type'] !== 'kubernetes.io/tls') return []
  const faults: Fault[] = []
  const chain = certificates(data['tls.crt'], 'tls.crt', faults)
  const key = privateKey(data['tls.key'], faults)
  if (data['ca.crt'] !== undefined) certificates(data['ca.crt'], 'ca.crt', faults)
  const leaf = chain?.[0]
  if (leaf !== undefined && key !== undefined && !leaf.checkPrivateKey(key)) {
    faults.push(fault('secret.certificate', { path: 'data["tls.key"]', rule: 'the private key of the first certificate in tls.crt', hint: 'the key belongs to another certificate' }))
  }
  return faults
}

const decode = (base64: string | undefined): string => Buffer.from(base64 ?? '', 'base64').toString('latin1')

function certificates(base64: string | undefined, name: string, faults: Fault[]): X509Certificate[] | undefined {
  const path = `data[${JSON.stringify(name)}]`
  const blocks = pemBlocks(decode(base64))
  if (blocks.length === 0) {
    faults.push(fault('secret.certificate', { path, rule: 'a certificate in PEM', hint: 'it begins with -----BEGIN CERTIFICATE-----' }))
    return undefined
  }
  const read: X509Certificate[] = []
  for (const [index, block] of blocks.entries()) {
    try {
      read.push(new X509Certificate(block))
    } catch (error) {
      faults.push(fault('secret.certificate', { path, rule: `a certificate in PEM; number ${index + 1} cannot be read: ${reason(error)}` }))
      return undefined
    }
  }
  return read
}

const BEGIN = '-----BEGIN CERTIFICATE-----'
const END = '-----END CERTIFICATE-----'

/** Certificates in a text, in one pass: a pattern would look for an end behind every beginning that has none. */
function pemBlocks(text: string): string[] {
  const blocks: string[] = []
  for (let end = 0; ; ) {
    const begin = text.indexOf(BEGIN, end)
    if (begin < 0) return blocks
    const stop = text.indexOf(END, begin)
    if (stop < 0) return blocks
    end = stop + END.length
    blocks.push(text.slice(begin, end))
  }
}

function privateKey(base64: string | undefined, faults: Fault[]): KeyObject | undefined {
  const pem = decode(base64)
  const path = 'data["tls.key"]'
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED/.test(pem)) {
    faults.push(fault('secret.certificate', { path, rule: 'a private key without a passphrase' }))
    return undefined
  }
  try {
    return createPrivateKey(pem)
  } catch (error) {
    faults.push(fault('secret.certificate', { path, rule: `a private key in PEM: ${reason(error)}` }))
    return undefined
  }
}

// OpenSSL's words name the place in the library and never the input.
const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error)).slice(0, 120)
