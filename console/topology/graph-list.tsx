import { latencies, percent, rate } from '../format/quantity.ts'
import { type Scene, type SceneEdge, type SceneNode, type Target, sameTarget, servedOrSent } from './scene.ts'
import { lockOf } from './tone.ts'

interface Props {
  readonly scene: Scene
  readonly selected: Target | undefined
  readonly onFocus: (target: Target | undefined) => void
  readonly onSelect: (target: Target) => void
}

/** What the canvas shows, for keyboards and screen readers: out of sight, in the order of reading; what has the focus is ringed on the canvas. */
export function GraphList({ scene, selected, onFocus, onSelect }: Props) {
  const item = (target: Target, words: string) => (
    <button type="button" aria-pressed={sameTarget(selected, target)} onFocus={() => onFocus(target)} onBlur={() => onFocus(undefined)} onClick={() => onSelect(target)}>{words}</button>
  )
  const nodes = [...scene.nodes].sort((one, other) => one.box.x - other.box.x || one.box.y - other.box.y)
  const names = new Map(scene.nodes.map(({ node }) => [node.id, node.name]))
  return (
    <div className="unseen" role="group" aria-label="Topology">
      <ul aria-label="Services">
        {nodes.map((card) => <li key={card.node.id}>{item({ kind: 'node', id: card.node.id }, describeNode(card, scene))}</li>)}
      </ul>
      <ul aria-label="Calls">
        {scene.edges.map((edge) => <li key={edge.key}>{item({ kind: 'edge', key: edge.key }, describeEdge(edge, names))}</li>)}
      </ul>
    </div>
  )
}

function describeNode({ node, rows, refused }: SceneNode, scene: Scene): string {
  const flow = servedOrSent(node, scene.edges.map(({ edge }) => edge))
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
