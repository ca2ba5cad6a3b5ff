import { useCallback, useEffect, useState } from 'react'
import type { ComeBack } from '../session/identity-provider.ts'
import { completeSignIn } from '../session/identity-provider.ts'
import type { Session } from '../session/session.ts'
import { saveSession } from '../session/session.ts'
import { MeshChooser } from '../session/mesh-chooser.tsx'
import { OfferedSession } from '../session/offered-session.tsx'
import { SignIn } from '../session/sign-in.tsx'
import { MeshPage } from './mesh-page.tsx'

/** Who is there decides what is shown: a field for the key, a key that a link offers, the meshes to choose from, or the mesh. */
export function App({ origin, initial, offered, back }: { origin: string; initial: Session | undefined; offered: Session | undefined; back: ComeBack | undefined }) {
  // The key that is in use already needs no word: a link to another of its meshes is a link.
  const isKnown = offered !== undefined && offered.key === initial?.key
  const [session, setSession] = useState(isKnown ? offered : initial)
  const [asking, setAsking] = useState(isKnown ? undefined : offered)
  const [notice, setNotice] = useState<string>()
  const [returning, setReturning] = useState(back)
  const keep = useCallback((next: Session | undefined, why?: string) => {
    saveSession(sessionStorage, next)
    setNotice(why)
    setSession(next)
  }, [])
  useEffect(() => {
    if (returning === undefined) return
    setReturning(undefined)
    completeSignIn(origin, returning, sessionStorage).then(
      (key) => keep({ key, mesh: undefined }),
      // Whoever is signed in stays so: anybody can make a link that looks like a way back.
      (error: unknown) => keep(initial, error instanceof Error ? error.message : String(error)),
    )
    // Once: the code that came back serves no second time.
  }, [])
  useEffect(() => {
    if (isKnown) saveSession(sessionStorage, offered)
  }, [])
  if (asking !== undefined) {
    const decide = (next: Session | undefined): void => {
      setAsking(undefined)
      keep(next)
    }
    return <OfferedSession offered={asking} current={session} onAccept={() => decide(asking)} onDecline={() => decide(session)} />
  }
  if (session === undefined || returning !== undefined) return <SignIn origin={origin} notice={notice} onKey={(key) => keep({ key, mesh: undefined })} />
  if (session.mesh === undefined) {
    return <MeshChooser origin={origin} apiKey={session.key} onChoose={(mesh) => keep({ ...session, mesh })} onSignOut={(why) => keep(undefined, why)} />
  }
  return <MeshPage key={session.mesh} origin={origin} apiKey={session.key} mesh={session.mesh} onLeave={() => keep({ ...session, mesh: undefined })} onSignOut={(why) => keep(undefined, why)} />
}
