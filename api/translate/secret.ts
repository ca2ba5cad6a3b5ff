import { create } from '@bufbuild/protobuf'
import { DERIVED } from '#api/model/gateway-api/listener.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import { configMapPem, secretPem } from '#api/model/pem.ts'
import type { ConfigMapFields } from '#core/resource/config-map.ts'
import type { SecretFields } from '#core/resource/secret.ts'
import type { ServerTls } from '#core/resource/server-tls.ts'
import type { Resource } from '#api/serve/resource.ts'
import { SecretSchema } from '#core/wire/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import { resourceOf } from './resource.ts'

/** A credential as PEM. */
export interface Credential {
  readonly chain: Uint8Array
  readonly key: Uint8Array
  /** What client certificates must lead to. */
  readonly authorities: Uint8Array | undefined
  /** Which of their certificates are revoked, by key `ca.crl`. */
  readonly revoked?: Uint8Array | undefined
  readonly origins: readonly string[]
}

/** Istio's names of a gateway's credentials over SDS. */
export const credentialSecretName = (name: string): string => (name.startsWith(GRANTED) ? name : `kubernetes://${name}`)
export const authoritySecretName = (name: string): string => `${credentialSecretName(name)}-cacert`

/** How objects of the Gateway API name a Secret, of another namespace too where that has granted it, and the ConfigMap of authorities. */
const GRANTED = 'kubernetes-gateway://'
const CONFIG_MAP = 'configmap://'

/** Whether a name is one that only derived objects have. */
export const isGranted = (name: string): boolean => name.startsWith(GRANTED)

/** Whether a Gateway is what a listener of the Gateway API amounts to, whose grants were looked at when it was derived: no one writes such a name by hand. */
const isDerived = (gateway: string): boolean => gateway.includes(`~${DERIVED}~`)

/**
 * The credential that a Gateway, by NAMESPACE/NAME, names: keys tls.crt and tls.key (kubernetes.io/tls), or Istio's generic cert and key; authorities from the same Secret or NAME-cacert.
 * Only the namespace of the gateway's process is looked at, unless the Gateway is derived. Undefined when there is none, or it cannot be a certificate and key.
 */
export function findCredential(reader: MeshReader, namespace: string, name: string, gateway: string): Credential | undefined {
  if (name === '') return undefined
  if (isGranted(name)) {
    const [of = '', secret = ''] = name.slice(GRANTED.length).split('/')
    return isDerived(gateway) ? findCredential(reader, of, secret, gateway) : undefined
  }
  const secret = reader.secret(namespace, name)
  const apart = reader.secret(namespace, `${name}-cacert`)
  const chain = secretPem(secret, 'tls.crt') ?? secretPem(secret, 'cert')
  const key = secretPem(secret, 'tls.key') ?? secretPem(secret, 'key')
  if (secret === undefined || chain === undefined || key === undefined) return undefined
  const authorities = secretPem(apart, 'ca.crt') ?? secretPem(apart, 'cacert') ?? secretPem(secret, 'ca.crt') ?? secretPem(secret, 'cacert')
  const revoked = secretPem(apart, 'ca.crl') ?? secretPem(secret, 'ca.crl')
  return { chain, key, authorities, ...(revoked === undefined ? {} : { revoked }), origins: [secret.id, ...(apart === undefined ? [] : [apart.id])] }
}

/** Authorities by the names that derived objects have for them, separated by commas; undefined: none of them is there. */
export function grantedAuthorities(reader: MeshReader, names: string): { readonly pem: Uint8Array; readonly origins: readonly string[] } | undefined {
  const found = names.split(',').flatMap((one) => {
    const [scheme, of] = one.startsWith(CONFIG_MAP) ? [CONFIG_MAP, reader.configMap.bind(reader)] : [GRANTED, reader.secret.bind(reader)]
    const [namespace = '', name = ''] = one.slice(scheme.length).split('/')
    const held = of(namespace, name)
    const pem = scheme === CONFIG_MAP ? configMapPem(held as ConfigMapFields | undefined, 'ca.crt') : secretPem(held as SecretFields | undefined, 'ca.crt')
    return held === undefined || pem === undefined ? [] : [{ pem, id: held.id }]
  })
  if (found.length === 0) return undefined
  return { pem: new TextEncoder().encode(found.map(({ pem }) => new TextDecoder().decode(pem).trimEnd()).join('\n') + '\n'), origins: found.map((one) => one.id) }
}

/** Whether a Gateway's server names authorities apart from its certificate, as only derived ones do. */
export const namesAuthorities = (gateway: string, tls: ServerTls | undefined): tls is ServerTls & { caCertCredentialName: string } => isDerived(gateway) && (tls?.caCertCredentialName ?? '') !== ''

/** The secret of authorities that a server names apart. */
export function authoritiesResources(reader: MeshReader, names: string): Resource[] {
  const found = grantedAuthorities(reader, names)
  if (found === undefined) return []
  const message = create(SecretSchema, { name: names, type: { case: 'validationContext', value: { trustedCa: { specifier: { case: 'inlineBytes', value: found.pem } } } } })
  return [resourceOf(SecretSchema, names, message, found.origins)]
}

/** The secrets of one credential name, for a proxy whose configuration names it. */
export function credentialResources(reader: MeshReader, namespace: string, name: string, gateway: string): Resource[] {
  const credential = findCredential(reader, namespace, name, gateway)
  if (credential === undefined) return trustResources(name, findAuthorities(reader, namespace, name))
  const { chain, key, authorities, revoked, origins } = credential
  const own = create(SecretSchema, { name: credentialSecretName(name), type: { case: 'tlsCertificate', value: { certificateChain: inline(chain), privateKey: inline(key) } } })
  return [resourceOf(SecretSchema, own.name, own, origins), ...trustResources(name, authorities === undefined ? undefined : { authorities, revoked, origins })]
}

function trustResources(name: string, found: { readonly authorities: Uint8Array; readonly revoked?: Uint8Array | undefined; readonly origins: readonly string[] } | undefined): Resource[] {
  if (found === undefined) return []
  const trust = create(SecretSchema, { name: authoritySecretName(name), type: { case: 'validationContext', value: { trustedCa: inline(found.authorities), ...(found.revoked === undefined ? {} : { crl: inline(found.revoked) }) } } })
  return [resourceOf(SecretSchema, trust.name, trust, found.origins)]
}

/** Whether authorities are to be had by a name, beside a certificate or without one. */
export const hasAuthorities = (reader: MeshReader, namespace: string, name: string, gateway: string): boolean =>
  (findCredential(reader, namespace, name, gateway)?.authorities ?? (isGranted(name) ? undefined : findAuthorities(reader, namespace, name))) !== undefined

/** The secrets whose certificates a server shows, one for each kind of key. */
export const credentialNames = (tls: Pick<ServerTls, 'credentialName' | 'credentialNames'>): readonly string[] => (tls.credentialName ? [tls.credentialName] : (tls.credentialNames ?? []))

/** Authorities without a certificate: what a client needs that shows none. */
function findAuthorities(reader: MeshReader, namespace: string, name: string): { readonly authorities: Uint8Array; readonly revoked?: Uint8Array; readonly origins: readonly string[] } | undefined {
  for (const secret of [reader.secret(namespace, `${name}-cacert`), reader.secret(namespace, name)]) {
    const authorities = secretPem(secret, 'ca.crt') ?? secretPem(secret, 'cacert')
    const revoked = secretPem(secret, 'ca.crl')
    if (secret !== undefined && authorities !== undefined) return { authorities, ...(revoked === undefined ? {} : { revoked }), origins: [secret.id] }
  }
  return undefined
}

const inline = (value: Uint8Array) => ({ specifier: { case: 'inlineBytes' as const, value } })
