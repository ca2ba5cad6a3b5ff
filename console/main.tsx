import { createRoot } from 'react-dom/client'
import { App } from './shell/app.tsx'
import { comeBackFrom } from './session/identity-provider.ts'
import { loadSession, saveSession, sessionFromFragment } from './session/session.ts'

const given = sessionFromFragment(location.hash)
if (given !== undefined) {
  // Before anything else: a key must not stay in the address bar, nor in the history.
  history.replaceState(null, '', `${location.pathname}${location.search}`)
  saveSession(sessionStorage, given)
}
const back = comeBackFrom(location.search)
if (back !== undefined) history.replaceState(null, '', location.pathname)
const root = document.querySelector('#page')
if (root === null) throw new Error('the page has no #page to stand in')
createRoot(root).render(<App origin={location.origin} initial={given ?? loadSession(sessionStorage)} back={given === undefined ? back : undefined} />)
