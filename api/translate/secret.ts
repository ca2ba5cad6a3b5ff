import { create } from '@bufbuild/protobuf'
import { DERIVED } from '#api/model/gateway-api/listener.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { SecretFields } from '#core/resource/secret.ts'
import type { Resource } from '#api/serve/resource.ts'
import { SecretSchema } from '#core/wire/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import { resourceOf } from './resource.ts'

/** A credential as PEM. */
export interface Credential {
  readonly chain: Uint8Array
  readonly key: Uint8Array
  /** What client certificates must lead to. */
  readonly authorities: Uint8Array | undefined
  readonly origins: readonly string[]
}

/** Istio's names of a gateway's credentials over SDS. */
export const credentialSecretName = (name: string): string => (name.startsWith(GRANTED) ? name : `kubernetes://${name}`)
export const authoritySecretName = (name: string): string => `${credentialSecretName(name)}-cacert`

/** How a listener of the Gateway API names a Secret, of another namespace too where that has granted it. */
const GRANTED = 'kubernetes-gateway://'

/**
 * The credential that a Gateway in a namespace names: keys tls.crt and tls.key (kubernetes.io/tls), or Istio's generic cert and key; authorities from the same Secret or NAME-cacert.
 * Only the gateway's own namespace is looked at, unless the Gateway is a listener of the Gateway API, whose grants were looked at when it was derived: no one writes such a name by hand and is heard. Undefined when there is none, or it cannot be a certificate and key.
 */
export function findCredential(reader: MeshReader, namespace: string, name: string): Credential | undefined {
  if (name === '') return undefined
  if (name.startsWith(GRANTED)) {
    const [of = '', secret = ''] = name.slice(GRANTED.length).split('/')
    return reader.gatewaysNaming(namespace, name).some((one) => one.name.includes(`~${DERIVED}~`)) ? findCredential(reader, of, secret) : undefined
  }
  const secret = reader.secret(namespace, name)
  const apart = reader.secret(namespace, `${name}-cacert`)
  const chain = field(secret, 'tls.crt') ?? field(secret, 'cert')
  const key = field(secret, 'tls.key') ?? field(secret, 'key')
  if (secret === undefined || chain === undefined || key === undefined) return undefined
  const authorities = field(apart, 'ca.crt') ?? field(apart, 'cacert') ?? field(secret, 'ca.crt') ?? field(secret, 'cacert')
  return { chain, key, authorities, origins: [secret.id, ...(apart === undefined ? [] : [apart.id])] }
}

function field(secret: SecretFields | undefined, name: string): Uint8Array | undefined {
  const plain = secret?.stringData?.[name]
  if (plain !== undefined) return pem(new TextEncoder().encode(plain))
  const encoded = secret?.data?.[name]
  return encoded === undefined ? undefined : pem(Uint8Array.from(atob(encoded), (one) => one.charCodeAt(0)))
}

/** What is no PEM is no credential: Envoy would refuse it, and with it whatever came in the same response. */
const pem = (bytes: Uint8Array): Uint8Array | undefined => (new TextDecoder().decode(bytes).includes('-----BEGIN ') ? bytes : undefined)

/** The secrets of one credential name, for a proxy whose configuration names it. */
export function credentialResources(reader: MeshReader, namespace: string, name: string): Resource[] {
  const credential = findCredential(reader, namespace, name)
  if (credential === undefined) return trustResources(name, findAuthorities(reader, namespace, name))
  const { chain, key, authorities, origins } = credential
  const own = create(SecretSchema, { name: credentialSecretName(name), type: { case: 'tlsCertificate', value: { certificateChain: inline(chain), privateKey: inline(key) } } })
  return [resourceOf(SecretSchema, own.name, own, origins), ...trustResources(name, authorities === undefined ? undefined : { authorities, origins })]
}

function trustResources(name: string, found: { readonly authorities: Uint8Array; readonly origins: readonly string[] } | undefined): Resource[] {
  if (found === undefined) return []
  const trust = create(SecretSchema, { name: authoritySecretName(name), type: { case: 'validationContext', value: { trustedCa: inline(found.authorities) } } })
  return [resourceOf(SecretSchema, trust.name, trust, found.origins)]
}

/** Authorities without a certificate: what a client needs that shows none. */
function findAuthorities(reader: MeshReader, namespace: string, name: string): { readonly authorities: Uint8Array; readonly origins: readonly string[] } | undefined {
  for (const secret of [reader.secret(namespace, `${name}-cacert`), reader.secret(namespace, name)]) {
    const authorities = field(secret, 'ca.crt') ?? field(secret, 'cacert')
    if (secret !== undefined && authorities !== undefined) return { authorities, origins: [secret.id] }
  }
  return undefined
}

const inline = (value: Uint8Array) => ({ specifier: { case: 'inlineBytes' as const, value } })
