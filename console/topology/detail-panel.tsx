import type { TopologyEdge, TopologyNode } from '#core/contract/topology.ts'
import { type ResourceObject, objectName } from '#core/resource/object.ts'
import { latencies, milliseconds, percent, rate } from '../format/quantity.ts'
import { type Remembered, edgeKey } from '../live/remembered.ts'
import { relatedObjects } from '../objects/related.ts'
import { writeRoute } from '../shell/route.ts'
import { type Target, servedOrSent } from './scene.ts'
import { lockOf, toneOf } from './tone.ts'
import { LockSign } from './lock-sign.tsx'

interface Props {
  readonly graph: Remembered
  readonly selected: Target
  readonly objects: readonly ResourceObject[]
  readonly onSelect: (target: Target) => void
  readonly onClose: () => void
}

/** Numbers and neighbours of what is selected. */
export function DetailPanel({ graph, selected, objects, onSelect, onClose }: Props) {
  const { nodes, edges } = graph.topology
  const node = selected.kind === 'node' ? nodes.find((one) => one.id === selected.id) : undefined
  const edge = selected.kind === 'edge' ? edges.find((one) => edgeKey(one) === selected.key) : undefined
  return (
    <aside className="detail" aria-label="Details">
      <button type="button" className="close" aria-label="Close details" onClick={onClose}>×</button>
      {node !== undefined && <NodeDetail node={node} nodes={nodes} edges={edges} objects={objects} onSelect={onSelect} />}
      {edge !== undefined && <EdgeDetail edge={edge} nodes={nodes} objects={objects} onSelect={onSelect} />}
      {node === undefined && edge === undefined && <p className="muted">Gone: nothing has reported it for two minutes.</p>}
    </aside>
  )
}

const kindWord: Readonly<Record<TopologyNode['kind'], string>> = { service: 'Service', workload: 'Client', gateway: 'Gateway', external: 'Outside the mesh' }

function NodeDetail({ node, nodes, edges, objects, onSelect }: { node: TopologyNode; nodes: readonly TopologyNode[]; edges: readonly TopologyEdge[]; objects: readonly ResourceObject[]; onSelect: (target: Target) => void }) {
  const flow = servedOrSent(node, edges)
  const total = node.versions.reduce((sum, version) => sum + version.requestsPerSecond, 0)
  return (
    <>
      <p className="eyebrow">{kindWord[node.kind]}{node.namespace !== '' && <> in {node.namespace}</>}</p>
      <h2>{node.name}</h2>
      <p className="identifier">{node.id}</p>
      <Numbers flow={flow} rateWord={flow.sent ? 'Sends' : 'Requests'} />
      {node.versions.length > 0 && (
        <>
          <h3>Versions</h3>
          <table className="numbers">
            <thead><tr><th>Version</th><th className="end">Share</th><th className="end">Rate</th><th className="end">Errors</th><th className="end">p50 / p99</th></tr></thead>
            <tbody>
              {node.versions.map((version) => (
                <tr key={version.version}>
                  <td>{version.version === '' ? <span className="muted">none</span> : version.version} <span className="muted">×{version.workloads}</span></td>
                  <td className="end">{total > 0 ? percent(version.requestsPerSecond / total) : '–'}</td>
                  <td className="end">{rate(version.requestsPerSecond)}</td>
                  <td className={`end ${toneClass(version)}`}>{percent(version.errorShare)}</td>
                  <td className="end">{latencies(version.p50Ms, version.p99Ms) ?? <NotReported flow={version} />}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </>
      )}
      <Calls title="Called by" edges={edges.filter((edge) => edge.to === node.id)} nodes={nodes} side="from" onSelect={onSelect} />
      <Calls title="Calls" edges={edges.filter((edge) => edge.from === node.id)} nodes={nodes} side="to" onSelect={onSelect} />
      <Related objects={relatedObjects(node, objects)} />
    </>
  )
}

function EdgeDetail({ edge, nodes, objects, onSelect }: { edge: TopologyEdge; nodes: readonly TopologyNode[]; objects: readonly ResourceObject[]; onSelect: (target: Target) => void }) {
  const from = nodes.find((node) => node.id === edge.from)
  const to = nodes.find((node) => node.id === edge.to)
  const lock = lockOf(edge.mutualTlsShare)
  return (
    <>
      <p className="eyebrow">Call</p>
      <h2>
        <button type="button" className="inline" onClick={() => onSelect({ kind: 'node', id: edge.from })}>{from?.name ?? edge.from}</button>
        <span className="arrow" aria-label="to"> → </span>
        <button type="button" className="inline" onClick={() => onSelect({ kind: 'node', id: edge.to })}>{to?.name ?? edge.to}</button>{edge.version !== '' && <> <span className="chip">{edge.version}</span></>}
      </h2>
      <Numbers flow={edge} rateWord="Requests" />
      <p className={`security ${lock}`}>
        {lock !== 'unknown' && <LockSign closed={lock === 'closed'} />}
        {lock === 'closed' ? 'All requests travelled over mutual TLS' : lock === 'open' ? `${percent(edge.mutualTlsShare ?? 0)} of requests travelled over mutual TLS` : 'No handshake was reported for these requests'}
      </p>
      {to !== undefined && <Related objects={relatedObjects(to, objects)} />}
    </>
  )
}

/** A stock Envoy counts requests and times none. Where nothing moves there is nothing to report. */
const NotReported = ({ flow }: { flow: { requestsPerSecond: number } }) => (flow.requestsPerSecond > 0 ? <span className="unreported">not reported</span> : <>–</>)

function Numbers({ flow, rateWord }: { flow: { requestsPerSecond: number; errorShare: number; p50Ms: number | null; p99Ms: number | null }; rateWord: string }) {
  return (
    <dl className="figures">
      <div><dt>{rateWord}</dt><dd>{rate(flow.requestsPerSecond)}</dd></div>
      <div><dt>Errors</dt><dd className={toneClass(flow)}>{percent(flow.errorShare)}</dd></div>
      <div><dt>p50</dt><dd>{flow.p50Ms === null ? <NotReported flow={flow} /> : milliseconds(flow.p50Ms)}</dd></div>
      <div><dt>p99</dt><dd>{flow.p99Ms === null ? <NotReported flow={flow} /> : milliseconds(flow.p99Ms)}</dd></div>
    </dl>
  )
}

const toneClass = (flow: { requestsPerSecond: number; errorShare: number }): string => {
  const tone = toneOf(flow)
  return tone === 'warn' || tone === 'bad' ? tone : ''
}

function Calls({ title, edges, nodes, side, onSelect }: { title: string; edges: readonly TopologyEdge[]; nodes: readonly TopologyNode[]; side: 'from' | 'to'; onSelect: (target: Target) => void }) {
  if (edges.length === 0) return null
  const names = new Map(nodes.map((node) => [node.id, node.name]))
  return (
    <>
      <h3>{title}</h3>
      <ul className="calls">
        {edges.map((edge) => {
          const lock = lockOf(edge.mutualTlsShare)
          return (
            <li key={edgeKey(edge)}>
              <button type="button" onClick={() => onSelect({ kind: 'edge', key: edgeKey(edge) })}>
                <i className={`swatch ${toneOf(edge)}`} aria-hidden="true" />
                <span className="name">{names.get(edge[side]) ?? edge[side]}{edge.version !== '' && <span className="muted"> {side === 'from' ? '→ ' : ''}{edge.version}</span>}</span>
                {lock !== 'unknown' && <LockSign closed={lock === 'closed'} />}
                <span className="number">{rate(edge.requestsPerSecond)}</span>
              </button>
            </li>
          )
        })}
      </ul>
    </>
  )
}

function Related({ objects }: { objects: readonly ResourceObject[] }) {
  if (objects.length === 0) return null
  return (
    <>
      <h3>Configuration</h3>
      <ul className="related">
        {objects.map((object) => (
          <li key={objectName(object)}><a href={writeRoute({ screen: 'objects', object: objectName(object) })}><span className="muted">{object.kind}</span> {object.metadata.name}</a></li>
        ))}
      </ul>
    </>
  )
}
