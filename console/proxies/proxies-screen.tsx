import { useEffect, useState } from 'react'
import type { ProxyStatus, TypeStatus } from '#core/contract/proxy-status.ts'
import { age, count } from '../format/quantity.ts'
import { writeRoute } from '../shell/route.ts'
import { type Refusal, type Standing, chooseProxies, shortType, standing, typeColumns } from './proxy-rows.ts'

/** Rows beyond this are left out until the search narrows them down. */
const rowsMax = 500

export function ProxiesScreen({ proxies }: { proxies: readonly ProxyStatus[] | undefined }) {
  const [text, setText] = useState('')
  const [wanted, setWanted] = useState<Standing | ''>('')
  const nowMs = useNow(1000)
  if (proxies === undefined) return <main className="empty" role="status"><p>Waiting for the list of proxies…</p></main>
  if (proxies.length === 0) return <main className="empty"><h2>No proxy is connected</h2><p>Create a join token with <code>weft token create</code> and start a proxy with it.</p></main>
  const columns = typeColumns(proxies)
  const chosen = chooseProxies(proxies, { text, standing: wanted })
  const many = (state: Standing): number => proxies.filter((proxy) => standing(proxy) === state).length
  return (
    <main className="sheet">
      <div className="filters">
        <input type="search" aria-label="Find a proxy" placeholder="Find a proxy" value={text} onChange={(event) => setText(event.target.value)} />
        <div className="segments" role="group" aria-label="State">
          {([['', 'All', proxies.length], ['rejected', 'Rejected', many('rejected')], ['stale', 'Stale', many('stale')], ['synced', 'In sync', many('synced')]] as const).map(([state, word, number]) => (
            <button type="button" key={state} aria-pressed={wanted === state} onClick={() => setWanted(state)}>{word} <span className="muted">{number}</span></button>
          ))}
        </div>
      </div>
      <div className="scroll">
        <table className="proxies">
          <thead><tr><th>Proxy</th><th className="narrow">State</th><th className="wide">Namespace</th><th className="wide">Engine</th>{columns.map((column) => <th key={column}>{column}</th>)}<th className="end">Revision</th><th className="end">Connected</th></tr></thead>
          {chosen.slice(0, rowsMax).map((proxy) => <ProxyRows key={proxy.node.id} proxy={proxy} columns={columns} nowMs={nowMs} />)}
        </table>
        {chosen.length === 0 && <p className="nothing">No proxy matches.</p>}
        {chosen.length > rowsMax && <p className="nothing">{count(chosen.length - rowsMax, 'more proxy', 'more proxies')}: narrow the search to see them.</p>}
      </div>
    </main>
  )
}

function ProxyRows({ proxy, columns, nowMs }: { proxy: ProxyStatus; columns: readonly string[]; nowMs: number }) {
  const byName = new Map(proxy.types.map((type) => [shortType(type.type), type]))
  const rejected = proxy.types.filter((type) => type.state === 'REJECTED')
  return (
    <tbody className={rejected.length > 0 ? 'rejected' : ''}>
      <tr>
        <th scope="row">{proxy.node.name}{proxy.node.type === 'router' && <span className="chip">gateway</span>}<span className="narrow muted">{proxy.node.namespace}</span></th>
        <td className="narrow"><Whole state={standing(proxy)} /></td>
        <td className="wide">{proxy.node.namespace}</td>
        <td className="wide">{proxy.node.engine} <span className="muted">{proxy.node.version}</span></td>
        {columns.map((column) => <td key={column}><State type={byName.get(column)} nowMs={nowMs} /></td>)}
        <td className="end">{proxy.syncedRevision}{proxy.viewRevision > proxy.syncedRevision && <span className="warn"> of {proxy.viewRevision}</span>}</td>
        <td className="end" title={new Date(proxy.connectedAtMs).toLocaleString()}>{age(nowMs - proxy.connectedAtMs)}</td>
      </tr>
      {rejected.map((type) => (
        <tr key={type.type} className="reason">
          <td colSpan={columns.length + 6}><div className="words"><b>{shortType(type.type)} rejected:</b> {type.rejection?.message ?? 'the proxy gave no reason'}{type.rejection !== undefined && <Origins origins={type.rejection.origins} revision={type.rejection.revision} />}</div></td>
        </tr>
      ))}
    </tbody>
  )
}

const stateWord: Readonly<Record<TypeStatus['state'], string>> = { SYNCED: 'synced', STALE: 'stale', REJECTED: 'rejected', NOT_SENT: 'not sent' }

function State({ type, nowMs }: { type: TypeStatus | undefined; nowMs: number }) {
  if (type === undefined) return <span className="muted" title="not subscribed">–</span>
  return (
    <span className={`state ${type.state.toLowerCase()}`} title={`${type.subscribed} subscribed, sent at revision ${type.sentRevision}, acknowledged at ${type.ackedRevision}`}>
      <i aria-hidden="true" />{stateWord[type.state]}{type.state !== 'NOT_SENT' && <span className="muted"> {age(nowMs - type.sinceMs)}</span>}
    </span>
  )
}

/** A proxy as a whole, where a narrow screen has no room for a column a type. */
const Whole = ({ state }: { state: Standing }) => <span className={`state ${state}`}><i aria-hidden="true" />{wholeWord[state]}</span>

const wholeWord: Readonly<Record<Standing, string>> = { synced: 'in sync', stale: 'stale', rejected: 'rejected' }

function Origins({ origins, revision }: { origins: readonly string[]; revision: number }) {
  return (
    <span className="origins">
      {origins.length > 0 && <> From {origins.map((origin) => <a key={origin} href={writeRoute({ screen: 'objects', object: origin })}>{origin}</a>)}</>} <span className="muted">at revision {revision}. The proxy goes on with what it had.</span>
    </span>
  )
}

/** Says on every screen that something was refused, by whom and what to look at. */
export function RejectionBanner({ refusals }: { refusals: readonly Refusal[] }) {
  const [newest] = refusals
  if (newest === undefined) return null
  const { rejection, proxy, type } = newest
  return (
    <div className="banner" role="alert">
      <p>
        <b>{refusals.length === 1 ? `${proxy.node.name} rejects its configuration` : `${refusals.length} rejections, the newest by ${proxy.node.name}`}</b>{' '}
        <span className="why">{shortType(type.type)}: {rejection.message}</span>
      </p>
      {rejection.origins[0] !== undefined && <a href={writeRoute({ screen: 'objects', object: rejection.origins[0] })}>Open {rejection.origins[0]}</a>}
      <a href={writeRoute({ screen: 'proxies' })}>All proxies</a>
    </div>
  )
}

function useNow(everyMs: number): number {
  const [nowMs, setNow] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs)
    return () => clearInterval(timer)
  }, [everyMs])
  return nowMs
}
