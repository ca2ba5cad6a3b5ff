import { unifiedDiff } from '../line-diff.ts'
import { at, list, text } from './json.ts'
import { ofSection, plainNames, type Section, type ShownResource } from './source.ts'

/** How what a proxy was sent of one type stands to what it holds. */
export interface SectionMatch {
  readonly section: Section
  readonly sent: number
  readonly differences: readonly Difference[]
}

export interface Difference {
  readonly name: string
  /** 'absent': sent, and not held. 'warming': sent, and not in use yet. 'unsent': held, though not sent, or taken back. 'differs': held as something else. */
  readonly how: 'absent' | 'warming' | 'unsent' | 'differs'
  readonly origins: readonly string[]
  /** Of one that differs, a unified diff from sent to held. */
  readonly diff: string
}

const SECTIONS: readonly Section[] = ['cluster', 'listener', 'route', 'endpoint', 'secret']

/** Type by type. What a proxy has of its own is left out: its bootstrap's resources, its certificate and roots, endpoints that stand within their cluster. */
export function matchesOf(sent: readonly ShownResource[], held: readonly ShownResource[]): SectionMatch[] {
  const discovered = new Set(ofSection(held, 'cluster').flatMap(({ name, content }) => (at(content, 'edsClusterConfig') === undefined ? [] : [text(content, 'edsClusterConfig', 'serviceName') || name])))
  const isOwn = (section: Section, name: string): boolean => section === 'secret' || (section === 'endpoint' && !discovered.has(name))
  return SECTIONS.map((section) => {
    const [given, has] = [ofSection(sent, section), ofSection(held, section)]
    const names = new Set(given.map(({ name }) => name))
    return { section, sent: given.length, differences: differencesIn(section, given, has.filter(({ name }) => names.has(name) || !isOwn(section, name))) }
  })
}

function differencesIn(section: Section, sent: readonly ShownResource[], held: readonly ShownResource[]): Difference[] {
  const active = new Map(held.flatMap((one) => (one.state === 'ACTIVE' ? [[one.name, one] as const] : [])))
  const warming = new Set(held.flatMap((one) => (one.state === 'WARMING' ? [one.name] : [])))
  const names = new Set(sent.map(({ name }) => name))
  const found = sent.flatMap((one): Difference[] => {
    const { name, origins } = one
    const own = active.get(name)
    if (own === undefined) return [{ name, how: warming.has(name) ? 'warming' : 'absent', origins, diff: '' }]
    const diff = unifiedDiff(wordsOf(section, one), wordsOf(section, own), { before: `${name} (sent)`, after: `${name} (held)` })
    return diff === '' ? [] : [{ name, how: warming.has(name) ? 'warming' : 'differs', origins, diff }]
  })
  const unsent = [...active.values()].flatMap(({ name, origins }): Difference[] => (names.has(name) ? [] : [{ name, how: 'unsent', origins, diff: '' }]))
  return [...found, ...unsent].sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** What is compared, as text: all of a cluster, listener or route; of endpoints who they are; of secrets, which are never shown, nothing but that they are there. */
function wordsOf(section: Section, { content }: ShownResource): string {
  if (section === 'secret') return ''
  if (section === 'endpoint') return `${endpointsOf(content).join('\n')}\n`
  // Envoy's dump holds it as an Any.
  const { '@type': _, ...message } = { ...(plainNames(content) as Record<string, unknown>) }
  return `${JSON.stringify(inOrder(message), undefined, 2)}\n`
}

/** A proxy tells the endpoints that it made of an assignment, with defaults filled in: locality, priority, address, weight. */
const endpointsOf = (assignment: unknown): string[] =>
  list(assignment, 'endpoints')
    .flatMap((group) =>
      list(group, 'lbEndpoints').map((one) => {
        const address = at(one, 'endpoint', 'address')
        const place = ['region', 'zone', 'subZone'].map((part) => text(group, 'locality', part)).join('/')
        return `priority ${text(group, 'priority') || '0'}, locality ${place}, ${addressOf(address)}, weight ${text(one, 'loadBalancingWeight') || '1'}`
      }),
    )
    .sort()

const addressOf = (address: unknown): string =>
  text(address, 'pipe', 'path') || text(address, 'envoyInternalAddress', 'serverListenerName') || `${text(address, 'socketAddress', 'address')}:${text(address, 'socketAddress', 'portValue')}`

/** Keys in one order, for a message has none. */
function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, one]) => [name, inOrder(one)]))
}
