/** Who looks at what: kept in this tab's sessionStorage, so that it ends with the tab. */
export interface Session {
  readonly key: string
  /** `ORGANIZATION/MESH`, or undefined until one is chosen. */
  readonly mesh: string | undefined
}

/** The part of Storage that is used here. */
export interface SessionStore {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
  removeItem(key: string): void
}

const keyItem = 'weft.key'
const meshItem = 'weft.mesh'

/**
 * A session offered in the URL's fragment, `#key=weft_key_…&mesh=org/mesh`: a fragment never reaches a server or a Referer header. Anybody can write one, so a person is asked first.
 * Undefined when the fragment is something else, a route of the page for example.
 */
export function sessionFromFragment(fragment: string): Session | undefined {
  const text = fragment.replace(/^#/, '')
  if (text === '' || text.startsWith('/')) return undefined
  const fields = new URLSearchParams(text)
  const key = fields.get('key')?.trim() ?? ''
  if (key === '') return undefined
  return { key, mesh: meshName(fields.get('mesh')) }
}

export function loadSession(store: SessionStore): Session | undefined {
  const key = store.getItem(keyItem)
  return key === null || key === '' ? undefined : { key, mesh: meshName(store.getItem(meshItem)) }
}

export function saveSession(store: SessionStore, session: Session | undefined): void {
  if (session === undefined) {
    store.removeItem(keyItem)
    store.removeItem(meshItem)
    return
  }
  store.setItem(keyItem, session.key)
  if (session.mesh === undefined) store.removeItem(meshItem)
  else store.setItem(meshItem, session.mesh)
}

/** `org/mesh` when the text is of that form. */
function meshName(text: string | null): string | undefined {
  return text !== null && /^[^/\s]+\/[^/\s]+$/.test(text) ? text : undefined
}
