import type { ConfigMapFields } from '#core/resource/config-map.ts'
import type { SecretFields } from '#core/resource/secret.ts'

/** A value of a Secret as PEM; undefined: there is none, or it is no PEM. Envoy would refuse that, and with it whatever came in the same response. */
export function secretPem(secret: SecretFields | undefined, name: string): Uint8Array | undefined {
  const plain = secret?.stringData?.[name]
  if (plain !== undefined) return pem(new TextEncoder().encode(plain))
  const encoded = secret?.data?.[name]
  return encoded === undefined ? undefined : pem(Uint8Array.from(atob(encoded.replaceAll(/\s/g, '')), (one) => one.charCodeAt(0)))
}

/** The same of a ConfigMap, whose values are text. */
export function configMapPem(map: ConfigMapFields | undefined, name: string): Uint8Array | undefined {
  const plain = map?.data?.[name]
  return plain === undefined ? undefined : pem(new TextEncoder().encode(plain))
}

const pem = (bytes: Uint8Array): Uint8Array | undefined => (new TextDecoder().decode(bytes).includes('-----BEGIN ') ? bytes : undefined)
