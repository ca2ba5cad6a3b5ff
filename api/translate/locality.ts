import type { Labels } from '#api/model/labels.ts'
import type { LocalityLbSetting, ZoneAwareLbSetting } from '#core/resource/load-balancer.ts'
import type { ClientPlace } from './endpoint.ts'
import type { Policy } from './traffic-policy.ts'

/**
 * How the places of endpoints count for one client.
 * istio.io/latest/docs/reference/config/networking/destination-rule/#LocalityLoadBalancerSetting
 */
export type Ranking =
  | { readonly by: 'nothing' }
  /** Endpoints of these places alone, in these shares of a hundred. */
  | { readonly by: 'share'; readonly shares: readonly (readonly [place: string, percent: number])[] }
  /** Nearer ones first; of other regions the one that takes over for the client's, where one is named. */
  | { readonly by: 'nearness'; readonly from: string; readonly takesOver: string | undefined }
  /** Those that share more of the labels first, counted from the first on. */
  | { readonly by: 'labels'; readonly labels: readonly (readonly [name: string, value: string])[] }
  /** Among those that share as many labels, the client's region first, and then the one that takes over for it. */
  | { readonly by: 'regions'; readonly region: string; readonly takesOver: string | undefined; readonly labels: readonly (readonly [name: string, value: string])[] }

interface Placed {
  readonly locality: string
  readonly labels: Labels
  readonly weight: number
}

export interface RankedGroup<Endpoint> {
  readonly locality: string
  /** From 0, without gaps (envoy.config.endpoint.v3.LocalityLbEndpoints.priority). */
  readonly priority: number
  readonly share: number
  readonly endpoints: readonly Endpoint[]
}

/** The labels by which a place is known to `failoverPriority`, as Istio gives them to every endpoint. */
export function placeLabels(locality: string, { network = '', cluster = '' }: { readonly network?: string; readonly cluster?: string }): Labels {
  const [region = '', zone = '', subzone = ''] = locality.split('/')
  const labels = {
    'topology.kubernetes.io/region': region,
    'topology.kubernetes.io/zone': zone,
    'topology.istio.io/subzone': subzone,
    'topology.istio.io/network': network,
    'topology.istio.io/cluster': cluster,
  }
  return Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== ''))
}

/** Shares and regions count always; who takes over otherwise only with outlier detection, by which a failing place is noticed. */
export function rankingOf(policy: Policy, client: Pick<ClientPlace, 'locality' | 'labels'>): Ranking {
  const zoneAware = policy.loadBalancer?.zoneAwareLbSetting
  if (zoneAware !== undefined) return byRegions(zoneAware, client)
  const setting = policy.loadBalancer?.localityLbSetting
  if (setting?.enabled === false) return { by: 'nothing' }
  if (setting?.distribute?.length) {
    const found = setting.distribute.find((one) => covers(one.from ?? '', client.locality))
    return found === undefined ? { by: 'nothing' } : { by: 'share', shares: Object.entries(found.to ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)) }
  }
  if (policy.outlierDetection === undefined) return { by: 'nothing' }
  if (setting?.failoverPriority?.length) return { by: 'labels', labels: setting.failoverPriority.map((one) => wantedLabel(one, client)) }
  return client.locality === '' ? { by: 'nothing' } : { by: 'nearness', from: client.locality, takesOver: takesOver(setting, client.locality) }
}

/** istio.io/latest/docs/reference/config/networking/destination-rule/#ZoneAwareLoadBalancerSetting */
function byRegions(setting: ZoneAwareLbSetting, client: Pick<ClientPlace, 'locality' | 'labels'>): Ranking {
  if (setting.enabled === false) return { by: 'nothing' }
  const [region = ''] = client.locality.split('/')
  return { by: 'regions', region, takesOver: takesOver(setting, client.locality), labels: (setting.failoverPriority ?? []).map((one) => wantedLabel(one, client)) }
}

/** `NAME` as the client has it, or `NAME=VALUE`. */
function wantedLabel(text: string, { locality, labels }: Pick<ClientPlace, 'locality' | 'labels'>): readonly [string, string] {
  const at = text.indexOf('=')
  if (at >= 0) return [text.slice(0, at), text.slice(at + 1)]
  return [text, { ...placeLabels(locality, {}), ...labels }[text] ?? '']
}

const takesOver = (setting: Pick<LocalityLbSetting, 'failover'> | undefined, locality: string): string | undefined => setting?.failover?.find((one) => one.from === locality.split('/')[0])?.to

/** `us-west/zone-1/*`, `us-west` and `*` all cover `us-west/zone-1/a`. */
function covers(pattern: string, locality: string): boolean {
  const parts = locality.split('/')
  return pattern.split('/').every((part, index) => part === '*' || part === '' || part === (parts[index] ?? ''))
}

/** Endpoints in groups of one place and priority, in order of place. */
export function ranked<Endpoint extends Placed>(endpoints: readonly Endpoint[], ranking: Ranking): RankedGroup<Endpoint>[] {
  const groups = new Map<string, { readonly locality: string; readonly rank: number; readonly endpoints: Endpoint[] }>()
  for (const one of endpoints) {
    const rank = rankOf(one, ranking)
    const key = `${one.locality} ${rank}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { locality: one.locality, rank, endpoints: [one] })
    else group.endpoints.push(one)
  }
  const sorted = [...groups.values()].sort((a, b) => (a.locality === b.locality ? a.rank - b.rank : a.locality < b.locality ? -1 : 1))
  const ranks = [...new Set(sorted.map((one) => one.rank))].sort((a, b) => a - b)
  const placed = sorted.map((one) => ({ locality: one.locality, priority: ranks.indexOf(one.rank), share: weightOf(one.endpoints), endpoints: one.endpoints }))
  return ranking.by === 'share' ? shared(placed, ranking.shares) : placed
}

function rankOf({ locality, labels }: Placed, ranking: Ranking): number {
  if (ranking.by === 'nearness') return distance(ranking.from, locality, ranking.takesOver)
  if (ranking.by === 'labels') return unlikeness(labels, ranking.labels)
  if (ranking.by !== 'regions') return 0
  const [region = ''] = locality.split('/')
  return REGION_RANKS * unlikeness(labels, ranking.labels) + (region === ranking.region ? 0 : region === ranking.takesOver ? 1 : 2)
}

/** The client's region, the one that takes over, and all others. */
const REGION_RANKS = 3

/** 0 where all labels are as they should be, the more the earlier one differs. */
function unlikeness(labels: Labels, wanted: readonly (readonly [name: string, value: string])[]): number {
  const differs = wanted.findIndex(([name, value]) => (labels[name] ?? '') !== value)
  return differs < 0 ? 0 : wanted.length - differs
}

/** 0 for the same subzone, up to 3 for another region, 4 for one that does not take over where another does. */
function distance(from: string, to: string, takesOver: string | undefined): number {
  const mine = from.split('/')
  const other = to.split('/')
  for (let part = 0; part < 3; part++) {
    if ((mine[part] ?? '') === (other[part] ?? '')) continue
    return part === 0 && takesOver !== undefined && other[0] !== takesOver ? 4 : 3 - part
  }
  return 0
}

/** Hundredths of a percent, so that a share of few percent can still be split between places. */
const SHARE_SCALE = 100

const weightOf = (endpoints: readonly Placed[]): number => endpoints.reduce((sum, one) => sum + one.weight, 0)

/** What a share covers has it in proportion to its endpoints; places that none covers get nothing. */
function shared<Endpoint extends Placed>(groups: readonly RankedGroup<Endpoint>[], shares: readonly (readonly [string, number])[]): RankedGroup<Endpoint>[] {
  const left = new Set(groups)
  const found: RankedGroup<Endpoint>[] = []
  for (const [place, percent] of shares) {
    const covered = [...left].filter((one) => covers(place, one.locality))
    const total = covered.reduce((sum, one) => sum + one.share, 0)
    for (const one of covered) {
      left.delete(one)
      found.push({ ...one, share: Math.max(1, Math.round((percent * SHARE_SCALE * one.share) / total)) })
    }
  }
  return found.sort((a, b) => (a.locality < b.locality ? -1 : 1))
}
