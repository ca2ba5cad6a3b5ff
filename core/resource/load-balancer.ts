import { z } from 'zod'
import { duration, durationOrZero, flag, judged, text, texts, uint32 } from './field.ts'
import type { Complaint } from './field.ts'

const failover = z.strictObject({ from: text().optional().describe('The region that fails.'), to: text().optional().describe('The region that takes over.') })

const localityFields = {
  failover: z.array(failover).optional().describe('Which region takes over for which.'),
  failoverPriority: texts().optional().describe('Labels by which endpoints are ranked: those that share more of them come first.'),
  enabled: flag().optional().describe('Whether it counts, whatever the mesh says.'),
}

function* failoverComplaints(value: { failover?: readonly { from?: string | undefined; to?: string | undefined }[] | undefined }): Iterable<Complaint> {
  for (const [index, one] of (value.failover ?? []).entries()) {
    for (const field of ['from', 'to'] as const) {
      const region = one[field] ?? ''
      if (region.includes('*')) yield { at: ['failover', index, field], value: region, rule: 'a region without wildcards' }
      if (region.includes('/')) yield { at: ['failover', index, field], value: region, rule: 'a region alone, without zone' }
    }
    if (one.from !== undefined && one.from === one.to) yield { at: ['failover', index, 'to'], value: one.to, rule: 'another region than from' }
  }
}

export const localityLbSetting = z
  .strictObject({
    distribute: z
      .array(
        z.strictObject({
          from: text().optional().describe('Locality of the caller, REGION/ZONE/SUBZONE, with * for the rest.'),
          to: z.record(z.string(), uint32()).optional().describe('Localities and their shares, which add up to 100.'),
        }),
      )
      .optional()
      .describe('Shares of traffic by locality.'),
    ...localityFields,
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      const given = (['distribute', 'failover', 'failoverPriority'] as const).filter((name) => value[name]?.length)
      if (given.includes('distribute') && given.length > 1) yield { at: [given[1] ?? ''], code: 'object.field-conflict', rule: 'not together with distribute' }
      yield* failoverComplaints(value)
      const sources: string[] = []
      for (const [index, one] of (value.distribute ?? []).entries()) {
        yield* localityComplaints(one.from ?? '', ['distribute', index, 'from'])
        if (sources.some((other) => localitiesOverlap(other, one.from ?? ''))) yield { at: ['distribute', index, 'from'], value: one.from, code: 'object.field-conflict', rule: 'a locality that no other entry covers' }
        sources.push(one.from ?? '')
        let sum = 0
        const targets: string[] = []
        for (const [name, weight] of Object.entries(one.to ?? {})) {
          yield* localityComplaints(name, ['distribute', index, 'to', name])
          if (targets.some((other) => localitiesOverlap(other, name))) yield { at: ['distribute', index, 'to', name], code: 'object.field-conflict', rule: 'a locality that no other entry covers' }
          targets.push(name)
          if (weight < 1 || weight > 100) yield { at: ['distribute', index, 'to', name], value: weight, rule: '1..100' }
          sum += weight
        }
        if (sum !== 100) yield { at: ['distribute', index, 'to'], value: sum, rule: 'shares that add up to 100' }
      }
    }),
  )
export type LocalityLbSetting = z.infer<typeof localityLbSetting>

/** Places that are ranked without being asked to. */
const RANKED_ANYWAY: readonly string[] = ['topology.kubernetes.io/region', 'topology.kubernetes.io/zone', 'topology.istio.io/subzone']

const zoneAwareLbSetting = z
  .strictObject({ ...localityFields, minClusterSize: z.int().min(1).max(4294967295).optional().describe('Endpoints, below which zones do not count.') })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      for (const [index, label] of (value.failoverPriority ?? []).entries()) if (RANKED_ANYWAY.includes(label)) yield { at: ['failoverPriority', index], value: label, rule: 'a label other than those of region, zone and subzone, which count anyway' }
      yield* failoverComplaints(value)
    }),
  )
export type ZoneAwareLbSetting = z.infer<typeof zoneAwareLbSetting>

// `us-west/*` covers `us-west/zone1/a`; a wildcard is the last part.
function localitiesOverlap(a: string, b: string): boolean {
  const left = a.split('/')
  const right = b.split('/')
  for (let index = 0; index < Math.max(left.length, right.length); index += 1) {
    if (left[index] === undefined || right[index] === undefined || left[index] === '*' || right[index] === '*') return true
    if (left[index] !== right[index]) return false
  }
  return true
}

function* localityComplaints(locality: string, at: readonly (string | number)[]): Iterable<Complaint> {
  const parts = locality.split('/')
  if (parts.length > 3 || parts.some((part) => part === '')) yield { at, value: locality, rule: 'REGION/ZONE/SUBZONE, none empty' }
  else if (parts.slice(0, -1).includes('*') || parts.some((part) => part !== '*' && part.includes('*'))) yield { at, value: locality, rule: 'a wildcard only as the last part' }
}

const consistentHash = z
  .strictObject({
    httpHeaderName: text().optional().describe('Hash of this request header.'),
    httpCookie: z
      .strictObject({
        name: text().describe('The cookie.'),
        path: text().optional().describe('Its path, when it is made.'),
        ttl: durationOrZero().optional().describe('Its life, when it is made; 0s for a session cookie.'),
        attributes: z.array(z.strictObject({ name: text().describe('Name.'), value: text().optional().describe('Value.') })).optional().describe('Further attributes.'),
      })
      .superRefine(
        judged(function* (value): Iterable<Complaint> {
          if (value.name === '') yield { at: ['name'], code: 'object.field-required', rule: 'the name of the cookie' }
          for (const [index, one] of (value.attributes ?? []).entries()) {
            if (one.name === '') yield { at: ['attributes', index, 'name'], code: 'object.field-required', rule: 'the name of the attribute' }
            if (value.attributes?.findIndex(({ name }) => name === one.name) !== index) yield { at: ['attributes', index, 'name'], value: one.name, code: 'object.field-conflict', rule: 'each attribute once' }
          }
        }),
      )
      .optional()
      .describe('Hash of a cookie, which is made when it is not there.'),
    useSourceIp: flag().optional().describe('Hash of the client’s address.'),
    httpQueryParameterName: text().optional().describe('Hash of this query parameter.'),
    ringHash: z.strictObject({ minimumRingSize: z.int().min(0).optional().describe('Entries in the ring, at least; 1024 by default.') }).optional().describe('Ring hash.'),
    maglev: z.strictObject({ tableSize: z.int().min(0).optional().describe('Entries in the table, a prime; 65537 by default.') }).optional().describe('Maglev.'),
    minimumRingSize: z.int().min(0).optional().describe('Deprecated: use ringHash.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      const keys = ['httpHeaderName', 'httpCookie', 'useSourceIp', 'httpQueryParameterName'] as const
      const given = keys.filter((name) => value[name] !== undefined)
      if (given.length !== 1) yield { at: given.length > 1 ? [given[1] ?? ''] : [], code: given.length > 1 ? 'object.field-conflict' : 'object.field-required', rule: `one of ${keys.join(', ')}` }
      const size = value.maglev?.tableSize
      if (value.ringHash !== undefined && value.maglev !== undefined) yield { at: ['maglev'], code: 'object.field-conflict', rule: 'only one of ringHash, maglev may be set' }
      if (size !== undefined && size !== 0 && !isPrime(size)) yield { at: ['maglev', 'tableSize'], value: size, rule: 'a prime' }
      if (size !== undefined && size > 5_000_011) yield { at: ['maglev', 'tableSize'], value: size, rule: 'at most 5000011' }
    }),
  )
export type ConsistentHash = z.infer<typeof consistentHash>

function isPrime(value: number): boolean {
  if (value < 2 || value > 5_000_011) return false
  for (let divisor = 2; divisor * divisor <= value; divisor += 1) if (value % divisor === 0) return false
  return true
}

export const loadBalancer = z
  .strictObject({
    simple: z.enum(['UNSPECIFIED', 'LEAST_CONN', 'RANDOM', 'PASSTHROUGH', 'ROUND_ROBIN', 'LEAST_REQUEST']).optional().describe('How an endpoint is picked; LEAST_REQUEST by default.'),
    consistentHash: consistentHash.optional().describe('Sends what hashes alike to the same endpoint.'),
    localityLbSetting: localityLbSetting.optional().describe('Shares and failover by locality.'),
    zoneAwareLbSetting: zoneAwareLbSetting.optional().describe('Keeps traffic within the region, and within zones, in proportion.'),
    warmupDurationSecs: duration().optional().describe('Deprecated: use warmup.'),
    warmup: z
      .strictObject({
        duration: duration().describe('How long a new endpoint gets less.'),
        minimumPercent: z.number().min(0).max(100).optional().describe('The share it begins with; 10 by default.'),
        aggression: z.number().min(0).optional().describe('How the share grows; 1 is linear.'),
      })
      .superRefine(
        judged(function* (value): Iterable<Complaint> {
          if (value.aggression !== undefined && value.aggression < 1) yield { at: ['aggression'], value: value.aggression, rule: '1 or more' }
        }),
      )
      .optional()
      .describe('Gives new endpoints less at first.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (value.simple !== undefined && value.consistentHash !== undefined) yield { at: ['consistentHash'], code: 'object.field-conflict', rule: 'only one of simple, consistentHash may be set' }
      if (value.localityLbSetting !== undefined && value.zoneAwareLbSetting !== undefined) yield { at: ['zoneAwareLbSetting'], code: 'object.field-conflict', rule: 'only one of localityLbSetting, zoneAwareLbSetting may be set' }
      if (value.warmup !== undefined && value.warmupDurationSecs !== undefined) yield { at: ['warmup'], code: 'object.field-conflict', rule: 'only one of warmup, warmupDurationSecs may be set' }
    }),
  )
export type LoadBalancer = z.infer<typeof loadBalancer>
