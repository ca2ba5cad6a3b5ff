import { ACME_DIRECTORY, ACME_EMAIL, ACME_STATE } from '#api/model/acme.ts'
import type { GatewaySpec } from '#core/resource/gateway.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import type { StoredResource } from '#db/store.ts'

/** A certificate that a Gateway wants of an authority. */
export interface WantedCertificate {
  readonly namespace: string
  /** The Secret that takes it. */
  readonly credential: string
  /** Sorted. */
  readonly hosts: readonly string[]
  readonly directory: string
  readonly email: string | undefined
}

interface Listener { readonly hostname?: string; readonly tls?: { readonly mode?: string; readonly certificateRefs?: readonly { readonly name: string; readonly namespace?: string; readonly kind?: string; readonly group?: string }[] } }

/** What Gateways say by annotation, one certificate for each Secret that their servers name; a Secret of two Gateways is the oldest one's. Hosts with wildcards cannot be proven over HTTP (RFC 8555 §8.3). */
export function wantedCertificates(objects: Iterable<StoredResource>): WantedCertificate[] {
  const wanted = new Map<string, WantedCertificate>()
  for (const { object } of objects) {
    const directory = object.kind === 'Gateway' ? object.metadata.annotations?.[ACME_DIRECTORY] : undefined
    if (directory === undefined) continue
    const namespace = object.metadata.namespace ?? ''
    for (const [credential, hosts] of namesOf(object)) {
      const key = `${namespace}/${credential}`
      if (hosts.size > 0 && !wanted.has(key)) wanted.set(key, { namespace, credential, hosts: [...hosts].sort(), directory, email: object.metadata.annotations?.[ACME_EMAIL] })
    }
  }
  return [...wanted.values()]
}

/** The exact hosts of each Secret. */
function namesOf(object: ResourceObject): Map<string, Set<string>> {
  const names = new Map<string, Set<string>>()
  const add = (credential: string, host: string): void => {
    const bare = host.slice(host.indexOf('/') + 1).toLowerCase()
    // A certificate there would take the accounts' keys away.
    if (credential === ACME_STATE || bare === '' || bare.includes('*') || !bare.includes('.')) return
    const hosts = names.get(credential) ?? new Set()
    names.set(credential, hosts.add(bare))
  }
  if (object.apiVersion.startsWith('networking.istio.io/')) {
    for (const { tls, hosts = [] } of (object.spec as GatewaySpec | undefined)?.servers ?? []) {
      if (tls?.credentialName && (tls.mode === 'SIMPLE' || tls.mode === 'OPTIONAL_MUTUAL' || tls.mode === 'MUTUAL')) for (const host of hosts) add(tls.credentialName, host)
    }
    return names
  }
  const namespace = object.metadata.namespace ?? ''
  for (const { hostname, tls } of (object.spec as { listeners?: readonly Listener[] } | undefined)?.listeners ?? []) {
    const [reference] = tls?.certificateRefs ?? []
    // The Secrets of other namespaces are not ours to write.
    if (hostname === undefined || reference === undefined || tls?.mode === 'Passthrough' || (reference.namespace ?? namespace) !== namespace || (reference.kind ?? 'Secret') !== 'Secret') continue
    add(reference.name, hostname)
  }
  return names
}
