import { memo, useMemo } from 'react'
import { latencies, percent, rate } from '../format/quantity.ts'
import { type Scene, type SceneEdge, type SceneNode, type Target, sameTarget } from './scene.ts'
import { lockOf } from './tone.ts'

interface Props {
  readonly scene: Scene
  readonly selected: Target | undefined
  readonly onFocus: (target: Target | undefined) => void
  readonly onSelect: (target: Target) => void
}

/** What the canvas shows, for keyboards and screen readers: out of sight, in the order of reading; what has the focus is ringed on the canvas. */
export function GraphList({ scene, selected, onFocus, onSelect }: Props) {
  const words = useMemo(() => describeAll(scene), [scene])
  const nodes = useMemo(() => [...scene.nodes].sort((one, other) => one.box.x - other.box.x || one.box.y - other.box.y).map(({ node }) => node.id), [scene.arrangement])
  const edges = scene.edges.length <= callsMax ? scene.edges : scene.edges.filter(({ key, edge }) => selected !== undefined && (selected.kind === 'edge' ? key === selected.key : edge.from === selected.id || edge.to === selected.id))
  const item = (kind: Target['kind'], key: string) => (
    <Item key={key} kind={kind} name={key} words={words.get(key) ?? ''} pressed={sameTarget(selected, kind === 'node' ? { kind, id: key } : { kind, key })} onFocus={onFocus} onSelect={onSelect} />
  )
  return (
    <div className="unseen" role="group" aria-label="Topology">
      <ul aria-label="Services">{nodes.map((id) => item('node', id))}</ul>
      <ul aria-label="Calls">{edges.map(({ key }) => item('edge', key))}</ul>
    </div>
  )
}

/** Beyond this many, only the calls of what is selected are listed: nobody steps through thousands. */
const callsMax = 1000

interface ItemProps {
  readonly kind: Target['kind']
  readonly name: string
  readonly words: string
  readonly pressed: boolean
  readonly onFocus: (target: Target | undefined) => void
  readonly onSelect: (target: Target) => void
}

/** Drawn anew only when its own words change: a thousand of them hear of every second. */
const Item = memo(function Item({ kind, name, words, pressed, onFocus, onSelect }: ItemProps) {
  const target: Target = kind === 'node' ? { kind, id: name } : { kind, key: name }
  return (
    <li>
      <button type="button" aria-pressed={pressed} onFocus={() => onFocus(target)} onBlur={() => onFocus(undefined)} onClick={() => onSelect(target)}>{words}</button>
    </li>
  )
})

function describeAll(scene: Scene): Map<string, string> {
  const names = new Map(scene.nodes.map(({ node }) => [node.id, node.name]))
  return new Map([...scene.nodes.map((card): [string, string] => [card.node.id, describeNode(card)]), ...scene.edges.map((edge): [string, string] => [edge.key, describeEdge(edge, names)])])
}

function describeNode({ node, flow, rows, refused }: SceneNode): string {
  const versions = rows.map((row) => `${row.version} ${row.share === undefined ? 'quiet' : percent(row.share)}`)
  return [`${node.kind} ${node.name}${node.namespace === '' ? '' : ` in ${node.namespace}`}`, `${flow.sent ? 'sends ' : ''}${rate(flow.requestsPerSecond)}`, ...(flow.errorShare > 0 ? [`${percent(flow.errorShare)} errors`] : []), ...versions, ...(refused ? ['a proxy rejects its configuration'] : [])].join(', ')
}

function describeEdge({ edge }: SceneEdge, names: ReadonlyMap<string, string>): string {
  const to = `${names.get(edge.to) ?? edge.to}${edge.version === '' ? '' : ` ${edge.version}`}`
  const times = latencies(edge.p50Ms, edge.p99Ms)
  const lock = lockOf(edge.mutualTlsShare)
  const security = lock === 'unknown' ? [] : [lock === 'closed' ? 'all over mutual TLS' : `${percent(edge.mutualTlsShare ?? 0)} over mutual TLS`]
  return [`${names.get(edge.from) ?? edge.from} calls ${to}`, rate(edge.requestsPerSecond), ...(edge.errorShare > 0 ? [`${percent(edge.errorShare)} errors`] : []), ...(times === undefined ? [] : [`p50 / p99 ${times}`]), ...security].join(', ')
}
