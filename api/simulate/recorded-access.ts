import { requestFrom } from '#core/route/request.ts'
import { follow, recordedNode, type RecordedProxy } from './recorded.ts'
import type { World } from './world.ts'

/** A request and whether a workload's access rules let it in: a row of `access.jsonl`. */
export interface AccessRow {
  readonly id: string
  readonly config: string
  readonly workload: RecordedProxy
  readonly call: {
    readonly port: number
    readonly protocol: 'http' | 'tcp'
    /** `cluster.local/ns/web/sa/front`; null: plaintext. */
    readonly source: { readonly principal: string | null; readonly ip: string }
    readonly host?: string
    readonly path?: string
    readonly method?: string
    readonly headers?: Readonly<Record<string, string>>
    /** Claims of a token that was accepted. */
    readonly token?: Readonly<Record<string, unknown>>
  }
  readonly expect: 'allow' | 'deny'
}

export interface JudgedAccess {
  readonly id: string
  readonly pass: boolean
  readonly got: 'allow' | 'deny'
  readonly why: string
}

export function judgeAccess(world: World, row: AccessRow): JudgedAccess {
  const { call, workload } = row
  const { principal, ip } = call.source
  const head = requestFrom({ authority: call.host ?? '', path: call.path ?? '/', method: call.method ?? 'GET', headers: call.headers ?? {} })
  const request = call.protocol === 'tcp' ? undefined : { ...head, header: (name: string) => head.header(name), remoteAddress: ip, ...(call.token === undefined ? {} : { claims: call.token }) }
  const peer = { address: ip, uriSans: principal === null ? [] : [`spiffe://${principal}`] }
  const alpn = principal === null ? {} : { tls: 'mtls' as const, alpn: call.protocol === 'tcp' ? 'istio' : 'istio-http/1.1' }
  const departure = follow(world.plansOf(recordedNode(workload)), workload, { direction: 'inbound', port: call.port, protocol: call.protocol, ...alpn }, peer, request)
  const got = departure.outcome === 'refused' ? 'deny' : 'allow'
  return { id: row.id, pass: got === row.expect, got, why: departure.why }
}
