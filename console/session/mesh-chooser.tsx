import { useEffect, useState } from 'react'
import { RestProblem, getItems } from './rest.ts'
import { Wordmark } from './sign-in.tsx'

interface Props {
  readonly origin: string
  readonly apiKey: string
  readonly onChoose: (mesh: string) => void
  readonly onSignOut: (why?: string) => void
}

/** All meshes that the key may see. The only one is chosen at once. */
export function MeshChooser({ origin, apiKey, onChoose, onSignOut }: Props) {
  const [meshes, setMeshes] = useState<string[]>()
  const [problem, setProblem] = useState<string>()
  const [attempt, setAttempt] = useState(0)
  useEffect(() => {
    const end = new AbortController()
    setProblem(undefined)
    listMeshes(origin, apiKey, end.signal).then(
      (found) => {
        const [only] = found
        if (found.length === 1 && only !== undefined && attempt === 0 && !wentBack()) onChoose(only)
        else setMeshes(found)
      },
      (error: unknown) => {
        if (end.signal.aborted) return
        if (error instanceof RestProblem && error.problem.status === 401) onSignOut(error.message)
        else setProblem(error instanceof Error ? error.message : String(error))
      },
    )
    return () => end.abort()
    // The callbacks belong to the session, which does not change while this stands.
  }, [origin, apiKey, attempt])
  return (
    <main className="entry">
      <Wordmark />
      <h1>Choose a mesh</h1>
      <div className="panel">
        {problem !== undefined && (
          <>
            <p className="notice bad" role="alert">{problem}</p>
            <button type="button" className="primary" onClick={() => setAttempt(attempt + 1)}>Try again</button>
          </>
        )}
        {problem === undefined && meshes === undefined && <p className="hint" role="status">Looking for meshes…</p>}
        {meshes?.length === 0 && <p className="hint">This key sees no mesh yet. <code>weft mesh create NAME</code> makes one.</p>}
        {meshes !== undefined && meshes.length > 0 && (
          <ul className="choices">
            {meshes.map((mesh) => <li key={mesh}><button type="button" onClick={() => onChoose(mesh)}><span className="muted">{mesh.split('/')[0]}/</span>{mesh.split('/')[1]}</button></li>)}
          </ul>
        )}
        <button type="button" className="quiet" onClick={() => onSignOut()}>Use another key</button>
      </div>
    </main>
  )
}

/** One who left a mesh to choose another is not sent straight back into it. */
const wentBack = (): boolean => location.hash.startsWith('#/')

async function listMeshes(origin: string, key: string, signal: AbortSignal): Promise<string[]> {
  const { items: organizations } = await getItems<{ name: string }>(origin, '/api/v1/organizations', key, 1000, signal)
  const meshes: string[] = []
  for (const { name } of organizations) {
    const found = await getItems<{ name: string }>(origin, `/api/v1/organizations/${encodeURIComponent(name)}/meshes`, key, 1000, signal)
    meshes.push(...found.items.map((mesh) => `${name}/${mesh.name}`))
  }
  return meshes.sort()
}
