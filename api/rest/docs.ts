import type { Route } from './route.ts'

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}
code{font:14px ui-monospace,monospace}li{margin:.6rem 0}.m{display:inline-block;min-width:4.5rem;font-weight:600}`

/** One page that lists what the API can do; the whole truth is in /openapi.json. */
export function docsPage(routes: readonly Route[]): string {
  const items = routes.map((route) => `<li><code><span class="m">${route.method}</span>${escaped(route.path)}</code><br>${escaped(route.summary)}</li>`)
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Weft API</title><style>${STYLE}</style>
<h1>Weft API</h1>
<p>Send <code>Authorization: Bearer weft_key_…</code>. Lists come in pages: <code>?limit=</code> and <code>?cursor=</code>, the latter from <code>next</code>. Failures are problem documents (RFC 9457) with all findings at once. The same configuration is at <code>/k8s/ORGANIZATION/MESH</code> for kubectl. Machine-readable: <a href="/openapi.json">/openapi.json</a>.</p>
<ul>${items.join('\n')}</ul></html>`
}
