import { type ResourceObject, objectName } from '#core/resource/object.ts'
import { useDeferredValue, useState } from 'react'
import type { ProxyStatus } from '#core/contract/proxy-status.ts'
import { count } from '../format/quantity.ts'
import { refusals } from '../proxies/proxy-rows.ts'
import { writeRoute } from '../shell/route.ts'
import { chooseObjects, countBy, everything } from './catalogue.ts'
import { ObjectView } from './object-view.tsx'
import { type Objects, objectsMax } from './use-objects.ts'

interface Props {
  readonly origin: string
  readonly apiKey: string
  readonly mesh: string
  readonly objects: Objects
  readonly chosen: string | undefined
  readonly proxies: readonly ProxyStatus[]
}

export function ObjectsScreen({ origin, apiKey, mesh, objects, chosen, proxies }: Props) {
  const [wanted, setWanted] = useState(everything)
  const deferred = useDeferredValue(wanted)
  const { items, more, problem } = objects
  if (items === undefined) return <main className="empty" role={problem === undefined ? 'status' : 'alert'}>{problem === undefined ? <p>Reading the configuration…</p> : <><h2>The configuration could not be read</h2><p>{problem}</p></>}</main>
  if (items.length === 0) return <main className="empty"><h2>No configuration yet</h2><p><code>weft apply -f FILE</code> adds some.</p></main>
  const listed = chooseObjects(items, deferred)
  const object = items.find((one) => objectName(one) === chosen)
  const blamed = new Set(refusals(proxies).flatMap((refusal) => refusal.rejection.origins))
  return (
    <main className={`objects${chosen === undefined ? '' : ' with-object'}`}>
      <section className="catalogue" aria-label="Objects">
        <div className="filters">
          <input type="search" aria-label="Find an object" placeholder="Name or label" value={wanted.text} onChange={(event) => setWanted({ ...wanted, text: event.target.value })} />
          <Choice label="Kind" all="All kinds" value={wanted.kind} choices={countBy(items, (one) => one.kind)} onChange={(kind) => setWanted({ ...wanted, kind })} />
          <Choice label="Namespace" all="All namespaces" value={wanted.namespace} choices={countBy(items, (one) => one.metadata.namespace ?? '')} onChange={(namespace) => setWanted({ ...wanted, namespace })} />
        </div>
        {problem !== undefined && <p className="notice bad" role="alert">{problem}</p>}
        <ObjectList objects={listed} chosen={chosen} blamed={blamed} />
        {more && <p className="nothing">Only the first {objectsMax} objects are shown.</p>}
      </section>
      {object !== undefined ? (
        <ObjectView key={objectName(object)} origin={origin} apiKey={apiKey} mesh={mesh} object={object} refusals={refusals(proxies).filter((refusal) => refusal.rejection.origins.includes(objectName(object)))} />
      ) : chosen !== undefined ? (
        <div className="empty"><h2>{chosen} is not here</h2><p>It may have been deleted.</p><a href={writeRoute({ screen: 'objects', object: undefined })}>All objects</a></div>
      ) : (
        <div className="empty later"><p>{count(items.length, 'object', 'objects')}. Choose one to see its YAML and its history.</p></div>
      )}
    </main>
  )
}

function Choice({ label, all, value, choices, onChange }: { label: string; all: string; value: string; choices: readonly [string, number][]; onChange: (value: string) => void }) {
  return (
    <select aria-label={label} value={value} onChange={(event) => onChange(event.target.value)}>
      <option value="">{all}</option>
      {choices.map(([name, many]) => <option key={name} value={name}>{name} ({many})</option>)}
    </select>
  )
}

/** Objects under a heading for each kind. */
function ObjectList({ objects, chosen, blamed }: { objects: readonly ResourceObject[]; chosen: string | undefined; blamed: ReadonlySet<string> }) {
  if (objects.length === 0) return <p className="nothing">No object matches.</p>
  const kinds = [...Map.groupBy(objects, (object) => object.kind)]
  return (
    <div className="scroll">
      {kinds.map(([kind, members]) => (
        <section key={kind}>
          <h3>{kind} <span className="muted">{members.length}</span></h3>
          <ul>
            {members.map((object) => {
              const name = objectName(object)
              return (
                <li key={name}>
                  <a href={writeRoute({ screen: 'objects', object: name })} aria-current={name === chosen ? 'true' : undefined}>
                    {object.metadata.name}{object.metadata.namespace !== undefined && object.metadata.namespace !== '' && <span className="muted"> {object.metadata.namespace}</span>}
                    {blamed.has(name) && <span className="count bad">rejected</span>}
                  </a>
                </li>
              )
            })}
          </ul>
        </section>
      ))}
    </div>
  )
}
