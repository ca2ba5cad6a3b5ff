import { type ResourceObject, objectName } from '#core/resource/object.ts'
import { useCallback, useDeferredValue, useEffect, useMemo, useRef, useState } from 'react'
import type { MeshState } from '../live/live-feed.ts'
import { relatedObjects } from '../objects/related.ts'
import { refusedOrigins } from '../proxies/proxy-rows.ts'
import type { Measure } from './arrangement.ts'
import { DetailPanel } from './detail-panel.tsx'
import { GraphList } from './graph-list.tsx'
import { LockSign } from './lock-sign.tsx'
import { type Scene, type Target, buildScene, sameTarget } from './scene.ts'
import { nameFont, readTheme, smallFont } from './theme.ts'
import { TopologyView } from './view.ts'

export function TopologyScreen({ state, objects }: { state: MeshState; objects: readonly ResourceObject[] }) {
  const host = useRef<HTMLDivElement>(null)
  const view = useRef<TopologyView>(undefined)
  const previous = useRef<Scene>(undefined)
  const [selected, setSelected] = useState<Target>()
  const [search, setSearch] = useState('')
  const measure = useMeasure()
  const graph = state.graph
  const origins = refusedOrigins(state.proxies ?? []).join('\n')

  const refused = useMemo(() => {
    const names = new Set(origins.split('\n'))
    const blamed = objects.filter((object) => names.has(objectName(object)))
    return new Set((graph?.topology.nodes ?? []).filter((node) => relatedObjects(node, blamed).length > 0).map((node) => node.id))
  }, [origins, objects, graph])

  const scene = useMemo(() => {
    if (graph === undefined) return undefined
    const built = buildScene(graph, refused, measure, previous.current)
    previous.current = built
    return built
  }, [graph, refused, measure])

  useEffect(() => {
    if (host.current === null) return
    const made = new TopologyView(host.current, { selected: setSelected })
    view.current = made
    return () => {
      view.current = undefined
      made.close()
    }
  }, [])
  useEffect(() => {
    if (scene !== undefined) view.current?.show(scene)
  }, [scene])
  useEffect(() => view.current?.select(selected), [selected])
  const wanted = useDeferredValue(search.trim().toLowerCase())
  useEffect(() => {
    const ids = scene?.nodes.filter(({ node }) => `${node.name} ${node.namespace}`.toLowerCase().includes(wanted)).map(({ node }) => node.id) ?? []
    view.current?.match(wanted === '' ? undefined : new Set(ids))
  }, [wanted, scene])
  useEffect(() => {
    const escape = (event: KeyboardEvent): void => {
      if (event.key === 'Escape') setSelected(undefined)
    }
    addEventListener('keydown', escape)
    return () => removeEventListener('keydown', escape)
  }, [])
  const focus = useCallback((target: Target | undefined) => view.current?.focus(target), [])
  const choose = useCallback((target: Target) => setSelected((now) => (sameTarget(now, target) ? undefined : target)), [])
  const firstMatch = (): void => {
    const found = scene?.nodes.find(({ node }) => `${node.name} ${node.namespace}`.toLowerCase().includes(wanted))
    if (wanted !== '' && found !== undefined) setSelected({ kind: 'node', id: found.node.id })
  }

  return (
    <main className={`topology${selected === undefined ? '' : ' with-panel'}`}>
      <div className="stage">
        <div className="canvas" ref={host} data-testid="canvas" />
        {scene !== undefined && <GraphList scene={scene} selected={selected} onFocus={focus} onSelect={choose} />}
        {scene === undefined && state.link === 'connecting' && <div className="empty" role="status"><p>Waiting for the first report…</p>{state.problem !== undefined && <p className="muted">{state.problem.title}. Trying again.</p>}</div>}
        {scene === undefined && state.link === 'reconnecting' && <div className="empty" role="alert"><h2>{state.problem?.title}</h2><p>Trying again.</p></div>}
        {scene !== undefined && scene.nodes.length === 0 && <div className="empty"><h2>Nothing moves here yet</h2><p>Services appear as soon as a proxy of this mesh reports traffic.</p></div>}
        <div className="tools">
          <input type="search" aria-label="Find a service" placeholder="Find a service" value={search} onChange={(event) => setSearch(event.target.value)} onKeyDown={(event) => { if (event.key === 'Enter') firstMatch() }} />
          <div className="zoom">
            <button type="button" aria-label="Zoom out" onClick={() => view.current?.zoomBy(1 / 1.3)}>−</button>
            <button type="button" aria-label="Zoom in" onClick={() => view.current?.zoomBy(1.3)}>+</button>
            <button type="button" onClick={() => view.current?.fit()}>Fit</button>
          </div>
        </div>
        <Legend />
      </div>
      {scene !== undefined && selected !== undefined && graph !== undefined && <DetailPanel graph={graph} selected={selected} objects={objects} onSelect={setSelected} onClose={() => setSelected(undefined)} />}
    </main>
  )
}

function Legend() {
  return (
    <ul className="legend" aria-label="Legend">
      <li><i className="swatch good" aria-hidden="true" />under 1% errors</li>
      <li><i className="swatch warn" aria-hidden="true" />from 1%</li>
      <li><i className="swatch bad" aria-hidden="true" />from 5%</li>
      <li><i className="swatch quiet" aria-hidden="true" />quiet</li>
      <li><LockSign closed />all over mutual TLS</li>
      <li><LockSign closed={false} />not all</li>
      <li className="wide muted">rate, p50 / p99</li>
    </ul>
  )
}

/** Text widths in the page's own fonts; kept, since the same names come each second. */
function useMeasure(): Measure {
  return useMemo(() => {
    const context = document.createElement('canvas').getContext('2d')
    const theme = readTheme(document.body)
    const known = new Map<string, number>()
    return (text, font) => {
      const key = `${font} ${text}`
      const kept = known.get(key)
      if (kept !== undefined || context === null) return kept ?? 0
      context.font = font === 'name' ? nameFont(theme) : smallFont(theme)
      const { width } = context.measureText(text)
      known.set(key, width)
      return width
    }
  }, [])
}
