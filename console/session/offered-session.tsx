import type { Session } from './session.ts'
import { Wordmark } from './sign-in.tsx'

interface Props {
  readonly offered: Session
  /** Whose tab this is until then. */
  readonly current: Session | undefined
  readonly onAccept: () => void
  readonly onDecline: () => void
}

/**
 * A link that carries a key signs nobody in by itself: anybody can send one with a key of their own, and whoever follows it would look at the sender's mesh, and write into it, as if it were theirs
 * (session fixation, login CSRF). So a person says that the link is theirs.
 */
export function OfferedSession({ offered, current, onAccept, onDecline }: Props) {
  return (
    <main className="entry">
      <Wordmark />
      <h1>This link carries a key</h1>
      <div className="panel">
        <p>It signs this tab in with the key <code>{keyEnd(offered.key)}</code>{offered.mesh === undefined ? '' : <> to the mesh <strong>{offered.mesh}</strong></>}.</p>
        <p className="hint">Go on only if you made the link yourself, or <code>weft up</code> printed it for you. Whoever else sent it would see what you do here.</p>
        <button type="button" className="primary" onClick={onAccept} autoFocus>Sign in with this key</button>
        <button type="button" className="quiet" onClick={onDecline}>{current === undefined ? 'Use another key' : 'Stay signed in as before'}</button>
      </div>
    </main>
  )
}

/** Enough to tell keys apart, and too little to use one. */
const keyEnd = (key: string): string => `…${key.slice(-4)}`
