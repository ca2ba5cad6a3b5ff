import { useEffect, useState, useSyncExternalStore } from 'react'
import { percent, rate } from '../format/quantity.ts'
import { LiveFeed, type MeshState } from '../live/live-feed.ts'
import { ObjectsScreen } from '../objects/objects-screen.tsx'
import { useObjects } from '../objects/use-objects.ts'
import { ProxiesScreen, RejectionBanner } from '../proxies/proxies-screen.tsx'
import { refusals } from '../proxies/proxy-rows.ts'
import { Wordmark } from '../session/sign-in.tsx'
import { TopologyScreen } from '../topology/topology-screen.tsx'
import { type Route, readRoute, writeRoute } from './route.ts'
import { totals } from './totals.ts'

interface Props {
  readonly origin: string
  readonly apiKey: string
  readonly mesh: string
  readonly onLeave: () => void
  readonly onSignOut: (why?: string) => void
}

export function MeshPage({ origin, apiKey, mesh, onLeave, onSignOut }: Props) {
  const [feed] = useState(() => new LiveFeed({ origin, key: apiKey, mesh }))
  const state = useSyncExternalStore((changed) => feed.subscribe(changed), () => feed.now)
  const route = useRoute()
  const objects = useObjects(origin, apiKey, mesh, state.revision)
  useEffect(() => {
    void feed.run()
    const online = (): void => feed.retryNow()
    addEventListener('online', online)
    return () => {
      removeEventListener('online', online)
      feed.stop()
    }
  }, [feed])
  useEffect(() => {
    document.title = `${mesh} – Weft`
  }, [mesh])
  useEffect(() => {
    if (state.link === 'refused' && state.problem?.status === 401) onSignOut(state.problem.title)
  }, [state.link, state.problem, onSignOut])

  const refused = refusals(state.proxies ?? [])
  return (
    <div className="page">
      <header className="bar">
        <Wordmark />
        <button type="button" className="mesh" onClick={onLeave} title="Choose another mesh"><span className="muted">{mesh.split('/')[0]}/</span><b>{mesh.split('/')[1]}</b></button>
        <nav aria-label="Screens">
          <Tab here={route} to={{ screen: 'topology' }}>Topology</Tab>
          <Tab here={route} to={{ screen: 'proxies' }}>Proxies{refused.length > 0 && <span className="count bad">{refused.length}</span>}</Tab>
          <Tab here={route} to={{ screen: 'objects', object: undefined }}>Objects</Tab>
        </nav>
        <Link state={state} onRetry={() => feed.retryNow()} />
        <button type="button" className="quiet" onClick={() => onSignOut()}>Sign out</button>
      </header>
      <RejectionBanner refusals={refused} />
      {state.link === 'refused' ? (
        <div className="empty" role="alert">
          <h2>{state.problem?.title}</h2>
          <p>{state.problem?.detail ?? `${mesh} cannot be shown with this key.`}</p>
          <button type="button" className="primary" onClick={onLeave}>Choose another mesh</button>
        </div>
      ) : route.screen === 'proxies' ? (
        <ProxiesScreen proxies={state.proxies} />
      ) : route.screen === 'objects' ? (
        <ObjectsScreen origin={origin} apiKey={apiKey} mesh={mesh} objects={objects} chosen={route.object} proxies={state.proxies ?? []} />
      ) : (
        <>
          <Summary state={state} />
          <TopologyScreen state={state} objects={objects.items ?? []} />
        </>
      )}
    </div>
  )
}

function Tab({ here, to, children }: { here: Route; to: Route; children: React.ReactNode }) {
  return <a href={writeRoute(to)} aria-current={here.screen === to.screen ? 'page' : undefined}>{children}</a>
}

function Link({ state, onRetry }: { state: MeshState; onRetry: () => void }) {
  const words: Readonly<Record<MeshState['link'], string>> = { connecting: 'Connecting…', live: 'Live', reconnecting: 'Reconnecting…', refused: 'Refused' }
  return (
    <span className={`link ${state.link}`} role="status" title={state.problem === undefined ? undefined : `${state.problem.title}${state.problem.detail === undefined ? '' : `: ${state.problem.detail}`}`}>
      <i aria-hidden="true" />{words[state.link]}
      {state.revision > 0 && <span className="revision muted">revision {state.revision}</span>}
      {state.link === 'reconnecting' && <button type="button" className="quiet" onClick={onRetry}>Try now</button>}
    </span>
  )
}

function Summary({ state }: { state: MeshState }) {
  if (state.graph === undefined) return null
  const sum = totals(state.graph.topology, state.proxies)
  const errorTone = sum.errorShare >= 0.05 ? 'bad' : sum.errorShare >= 0.01 ? 'warn' : ''
  return (
    <dl className="summary" aria-label="The mesh in numbers">
      <div><dt>Services</dt><dd>{sum.services}</dd></div>
      <div><dt>Requests, all hops</dt><dd>{rate(sum.requestsPerSecond)}</dd></div>
      <div><dt>Errors</dt><dd className={errorTone}>{percent(sum.errorShare)}</dd></div>
      <div><dt>Mutual TLS</dt><dd className={sum.mutualTlsShare !== undefined && sum.mutualTlsShare < 1 ? 'warn' : ''}>{sum.mutualTlsShare === undefined ? 'not reported' : percent(sum.mutualTlsShare)}</dd></div>
      <div>
        <dt>Proxies</dt>
        <dd>{sum.proxies === undefined ? '…' : <>{sum.proxies.synced} in sync{sum.proxies.stale > 0 && <span className="warn">, {sum.proxies.stale} stale</span>}{sum.proxies.rejected > 0 && <span className="bad">, {sum.proxies.rejected} rejecting</span>}</>}</dd>
      </div>
      {state.graph.topology.windowMs > 0 && <div className="window"><dt>Window</dt><dd>{Math.round(state.graph.topology.windowMs / 1000)} s</dd></div>}
    </dl>
  )
}

function useRoute(): Route {
  const fragment = useSyncExternalStore(
    (changed) => {
      addEventListener('hashchange', changed)
      return () => removeEventListener('hashchange', changed)
    },
    () => location.hash,
  )
  return readRoute(fragment)
}
