import { type ResourceObject, objectName } from '#core/resource/object.ts'
import { useEffect, useMemo, useState } from 'react'
import { stringify } from 'yaml'
import { age } from '../format/quantity.ts'
import type { Refusal } from '../proxies/proxy-rows.ts'
import { RestProblem, getItems, meshPath } from '../session/rest.ts'
import { writeRoute } from '../shell/route.ts'
import { type HistoryEntry, historyQuery } from './history.ts'
import { diffLines } from './line-diff.ts'
import { yamlTokens } from './yaml-tokens.ts'

interface Props {
  readonly origin: string
  readonly apiKey: string
  readonly mesh: string
  readonly object: ResourceObject
  readonly refusals: readonly Refusal[]
}

/** Status last, as kubectl prints it; nothing left out. Where the server keeps a value to itself it sends base64 of "(hidden)" (core/resource/redact.ts), which stays, since it may be applied again, and is said in words. */
const yamlOf = (object: object): string => stringify(object, { lineWidth: 0 }).replaceAll(/: KGhpZGRlbik=$/gm, '$& # (hidden)')

export function ObjectView({ origin, apiKey, mesh, object, refusals }: Props) {
  const [past, setPast] = useState<HistoryEntry>()
  const history = useHistory(origin, apiKey, mesh, object)
  const text = useMemo(() => yamlOf(object), [object])
  const pastObject = past?.object ?? undefined
  return (
    <article className="object">
      <header>
        <a className="back" href={writeRoute({ screen: 'objects', object: undefined })}>All objects</a>
        <p className="eyebrow">{object.kind}{object.metadata.namespace !== undefined && object.metadata.namespace !== '' && <> in {object.metadata.namespace}</>}</p>
        <h2>{object.metadata.name}</h2>
        <CopyButton text={pastObject === undefined ? text : yamlOf(pastObject)} />
      </header>
      {refusals.map(({ proxy, type, rejection }) => <p key={`${proxy.node.id} ${type.type}`} className="notice bad"><b>{proxy.node.name} rejects it:</b> {rejection.message}</p>)}
      <div className="scroll">
        {past !== undefined && pastObject !== undefined ? (
          <>
            <p className="hint">What has changed since revision {past.revision}. <button type="button" className="inline" onClick={() => setPast(undefined)}>Show it as it is</button></p>
            <Diff before={yamlOf(pastObject)} after={text} />
          </>
        ) : (
          <pre className="yaml" tabIndex={0} aria-label={`${objectName(object)} as YAML`}><code>{text.trimEnd().split('\n').map((line, at) => <YamlLine key={at} line={line} />)}</code></pre>
        )}
        {history !== undefined && history.length > 0 && (
          <section className="history" aria-label="History">
            <h3>History</h3>
            <ol>
              {history.map((entry) => (
                <li key={entry.revision}>
                  <button type="button" aria-pressed={past?.revision === entry.revision} disabled={entry.object === null} onClick={() => setPast(past?.revision === entry.revision ? undefined : entry)}>
                    <b>{entry.revision}</b> <span className={`operation ${entry.operation}`}>{operationWord[entry.operation]}</span> <span className="message">{entry.message}</span>
                    <span className="muted">{entry.author}, <time dateTime={entry.at} title={entry.at}>{age(Date.now() - Date.parse(entry.at))} ago</time></span>
                  </button>
                </li>
              ))}
            </ol>
          </section>
        )}
      </div>
    </article>
  )
}

const operationWord: Readonly<Record<HistoryEntry['operation'], string>> = { create: 'created', update: 'changed', delete: 'deleted' }

function YamlLine({ line, side = 'both' }: { line: string; side?: 'both' | 'removed' | 'added' }) {
  return <span className={`line ${side}`}>{yamlTokens(line).map((token, at) => <span key={at} className={`token ${token.kind}`}>{token.text}</span>)}{line === '' && '\n'}</span>
}

function Diff({ before, after }: { before: string; after: string }) {
  const lines = useMemo(() => diffLines(before.trimEnd().split('\n'), after.trimEnd().split('\n')), [before, after])
  return <pre className="yaml diff" tabIndex={0} aria-label="Difference"><code>{lines.map((line, at) => <YamlLine key={at} line={line.text} side={line.side} />)}</code></pre>
}

function CopyButton({ text }: { text: string }) {
  const [said, setSaid] = useState('Copy')
  useEffect(() => {
    if (said === 'Copy') return
    const timer = setTimeout(() => setSaid('Copy'), 2000)
    return () => clearTimeout(timer)
  }, [said])
  // Without a secure context (plain http from another machine) the browser gives no clipboard.
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text)
      setSaid('Copied')
    } catch {
      setSaid('Select it and press Ctrl+C')
    }
  }
  return <button type="button" className="copy" aria-live="polite" onClick={() => void copy()}>{said}</button>
}

/** Undefined while it is being read, and where the server keeps none. */
function useHistory(origin: string, key: string, mesh: string, object: ResourceObject): readonly HistoryEntry[] | undefined {
  const [entries, setEntries] = useState<readonly HistoryEntry[]>()
  const query = historyQuery(object)
  const version = object.metadata.resourceVersion
  useEffect(() => {
    const end = new AbortController()
    getItems<HistoryEntry>(origin, `${meshPath(mesh)}/history?${query}`, key, 50, end.signal).then(
      ({ items }) => setEntries(items),
      (error: unknown) => {
        if (!end.signal.aborted && !(error instanceof RestProblem)) throw error
      },
    )
    return () => end.abort()
  }, [origin, key, mesh, query, version])
  return entries
}
