import { createRoot } from 'react-dom/client'
import { App } from './shell/app.tsx'
import { comeBackFrom } from './session/identity-provider.ts'
import { loadSession, sessionFromFragment } from './session/session.ts'

const offered = sessionFromFragment(location.hash)
// Before anything else: a key must not stay in the address bar, nor in the history.
if (offered !== undefined) history.replaceState(null, '', `${location.pathname}${location.search}`)
const back = comeBackFrom(location.search)
if (back !== undefined) history.replaceState(null, '', location.pathname)
const root = document.querySelector('#page')
if (root === null) throw new Error('the page has no #page to stand in')
createRoot(root).render(<App origin={location.origin} initial={loadSession(sessionStorage)} offered={offered} back={offered === undefined ? back : undefined} />)
