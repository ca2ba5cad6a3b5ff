import { useState } from 'react'
import { beginSignIn } from './identity-provider.ts'

export function SignIn({ origin, notice, onKey }: { origin: string; notice: string | undefined; onKey: (key: string) => void }) {
  const [key, setKey] = useState('')
  const [organization, setOrganization] = useState('')
  const [problem, setProblem] = useState<string>()
  const leave = (): void => {
    setProblem(undefined)
    beginSignIn(origin, organization.trim(), sessionStorage).then(
      (url) => location.assign(url),
      (error: unknown) => setProblem(error instanceof Error ? error.message : String(error)),
    )
  }
  return (
    <main className="entry">
      <Wordmark />
      <h1>The mesh as it moves</h1>
      <form className="panel" onSubmit={(event) => { event.preventDefault(); if (key.trim() !== '') onKey(key.trim()) }}>
        {notice !== undefined && <p className="notice bad" role="alert">{notice}</p>}
        <label htmlFor="key">API key</label>
        <input id="key" type="password" autoComplete="off" spellCheck={false} placeholder="weft_key_…" value={key} onChange={(event) => setKey(event.target.value)} autoFocus />
        <button type="submit" className="primary" disabled={key.trim() === ''}>Sign in</button>
        <p className="hint">The key stays in this tab and is forgotten when you close it. <code>weft up</code> prints one; <code>weft key create</code> makes more.</p>
      </form>
      <form className="panel" onSubmit={(event) => { event.preventDefault(); if (organization.trim() !== '') leave() }}>
        {problem !== undefined && <p className="notice bad" role="alert">{problem}</p>}
        <label htmlFor="organization">Organization</label>
        <input id="organization" autoComplete="organization" spellCheck={false} value={organization} onChange={(event) => setOrganization(event.target.value)} />
        <button type="submit" className="quiet" disabled={organization.trim() === ''}>Use its identity provider</button>
      </form>
    </main>
  )
}

export function Wordmark() {
  return (
    <span className="wordmark">
      <svg viewBox="0 0 32 32" aria-hidden="true"><path d="M4 10c6 0 6 12 12 12s6-12 12-12" /><path d="M4 22c6 0 6-12 12-12s6 12 12 12" /></svg>
      Weft
    </span>
  )
}
