/**
 * Shapes of the kinds that the model reads, where `core/resource` exports none under that name yet; the fields are Istio's and Kubernetes'.
 * Objects were held against their schemas when they were written, so a reader takes the shape for granted.
 */
import type { StringMatch } from '#core/resource/string-match.ts'

export interface ServiceSpec {
  readonly selector?: Readonly<Record<string, string>>
  readonly ports?: readonly { readonly name?: string; readonly port: number; readonly targetPort?: number | string; readonly protocol?: string; readonly appProtocol?: string }[]
  readonly clusterIP?: string
  readonly clusterIPs?: readonly string[]
  readonly type?: string
  readonly externalName?: string
}

export interface ServiceEntrySpec {
  readonly hosts: readonly string[]
  readonly addresses?: readonly string[]
  readonly ports?: readonly { readonly number: number; readonly name: string; readonly protocol?: string; readonly targetPort?: number }[]
  readonly location?: 'MESH_EXTERNAL' | 'MESH_INTERNAL'
  readonly resolution?: 'NONE' | 'STATIC' | 'DNS' | 'DNS_ROUND_ROBIN' | 'DYNAMIC_DNS'
  readonly endpoints?: readonly EntryEndpoint[]
  readonly workloadSelector?: { readonly labels?: Readonly<Record<string, string>> }
  readonly exportTo?: readonly string[]
  readonly subjectAltNames?: readonly string[]
}

export interface EntryEndpoint {
  readonly address?: string
  readonly ports?: Readonly<Record<string, number>>
  readonly labels?: Readonly<Record<string, string>>
  readonly network?: string
  readonly locality?: string
  readonly weight?: number
  readonly serviceAccount?: string
}

export interface GatewaySpec {
  readonly selector?: Readonly<Record<string, string>>
  readonly servers?: readonly GatewayServer[]
}

export interface GatewayServer {
  readonly name?: string
  readonly port?: { readonly number: number; readonly name: string; readonly protocol: string; readonly targetPort?: number }
  readonly hosts?: readonly string[]
  readonly bind?: string
  readonly tls?: {
    readonly httpsRedirect?: boolean
    readonly mode?: 'PASSTHROUGH' | 'SIMPLE' | 'MUTUAL' | 'AUTO_PASSTHROUGH' | 'ISTIO_MUTUAL' | 'OPTIONAL_MUTUAL'
    readonly credentialName?: string
    readonly serverCertificate?: string
    readonly privateKey?: string
    readonly caCertificates?: string
    readonly subjectAltNames?: readonly string[]
    readonly minProtocolVersion?: string
    readonly maxProtocolVersion?: string
    readonly cipherSuites?: readonly string[]
  }
}

export type MutualTlsMode = 'UNSET' | 'DISABLE' | 'PERMISSIVE' | 'STRICT'

export interface PeerAuthenticationSpec {
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> }
  readonly mtls?: { readonly mode?: MutualTlsMode }
  readonly portLevelMtls?: Readonly<Record<string, { readonly mode?: MutualTlsMode }>>
}

export interface AuthorizationPolicySpec {
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> }
  readonly action?: 'ALLOW' | 'DENY' | 'AUDIT' | 'CUSTOM'
  readonly rules?: readonly AuthorizationRule[]
}

export interface AuthorizationRule {
  readonly from?: readonly { readonly source?: AuthorizationSource }[]
  readonly to?: readonly { readonly operation?: AuthorizationOperation }[]
  readonly when?: readonly { readonly key: string; readonly values?: readonly string[]; readonly notValues?: readonly string[] }[]
}

export interface AuthorizationSource {
  readonly principals?: readonly string[]
  readonly notPrincipals?: readonly string[]
  readonly requestPrincipals?: readonly string[]
  readonly notRequestPrincipals?: readonly string[]
  readonly namespaces?: readonly string[]
  readonly notNamespaces?: readonly string[]
  readonly serviceAccounts?: readonly string[]
  readonly notServiceAccounts?: readonly string[]
  readonly ipBlocks?: readonly string[]
  readonly notIpBlocks?: readonly string[]
  readonly remoteIpBlocks?: readonly string[]
  readonly notRemoteIpBlocks?: readonly string[]
}

export interface AuthorizationOperation {
  readonly hosts?: readonly string[]
  readonly notHosts?: readonly string[]
  readonly ports?: readonly string[]
  readonly notPorts?: readonly string[]
  readonly methods?: readonly string[]
  readonly notMethods?: readonly string[]
  readonly paths?: readonly string[]
  readonly notPaths?: readonly string[]
}

export interface SecretFields {
  readonly type?: string
  /** Base64. */
  readonly data?: Readonly<Record<string, string>>
  /** As it is. */
  readonly stringData?: Readonly<Record<string, string>>
}

export type { StringMatch }
