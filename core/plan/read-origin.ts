import type { Metadata } from '../wire/gen/envoy/config/core/v3/base_pb.ts'
import type { Origin } from './origin.ts'
import { textIn } from './read-value.ts'

// /apis/networking.istio.io/v1/namespaces/prod/virtual-service/order-service
const CONFIG_PATH = /^\/apis\/[^/]+\/[^/]+\/namespaces\/([^/]+)\/([^/]+)\/([^/]+)$/

/** Where a route or cluster comes from: metadata `weft` {resource, field, revision}, or Istio's `istio` {config: path}. */
export function originOf(metadata: Metadata | undefined): Origin | undefined {
  const weft = metadata?.filterMetadata['weft']
  const resource = textIn(weft, 'resource')
  if (resource !== undefined) {
    const revision = weft?.['revision']
    return { resource, field: textIn(weft, 'field') ?? '', revision: typeof revision === 'number' ? revision : Number(revision ?? 0) || 0 }
  }
  const path = CONFIG_PATH.exec(textIn(metadata?.filterMetadata['istio'], 'config') ?? '')
  if (path === null) return undefined
  const [, namespace = '', kind = '', name = ''] = path
  return { resource: `${kind.split('-').map(capitalized).join('')}/${namespace}/${name}`, field: '', revision: 0 }
}

const capitalized = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1)

const POLICY_NAME = /^ns\[([^\]]*)\]-policy\[([^\]]*)\]-rule\[(\d+)\]$/

/** RBAC policies bear no metadata; Istio's form of name says it: `ns[prod]-policy[payment-authz]-rule[0]`. */
export function policyOrigin(name: string): Origin | undefined {
  const parts = POLICY_NAME.exec(name)
  return parts === null ? undefined : { resource: `AuthorizationPolicy/${parts[1]}/${parts[2]}`, field: `rules[${parts[3]}]`, revision: 0 }
}
