import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { callOpenly, organizationPath } from './client.ts'

/** How long a person may take at the provider. */
const PATIENCE_MS = 10 * 60_000
const PAGE = '<!doctype html><meta charset="utf-8"><title>Weft</title><p>This window can be closed: go on in the terminal.'

/**
 * Signs in through the organization's identity provider: a page in a browser, which comes back to a port of loopback that is open meanwhile (RFC 8252 §7.3), with a code that only this process can use (RFC 7636).
 * @param tell what the person has to know: the page, in case that no browser opens
 * @throws Error when the person or the provider refuses, or nobody comes back
 */
export async function signInByBrowser(server: string, organization: string, options: { readonly open: boolean; readonly tell: (line: string) => void }): Promise<string> {
  const verifier = randomBytes(32).toString('base64url')
  const state = randomBytes(16).toString('base64url')
  const loopback = await listen(state)
  try {
    const { url } = await callOpenly<{ url: string }>(server, organizationPath(organization, '/oidc/authorize'), { redirectUri: loopback.redirectUri, codeChallenge: createHash('sha256').update(verifier).digest('base64url'), state })
    // A command is run with it: what is no page would be a file, a program or an option there.
    if (!/^https?:$/.test(URL.parse(url)?.protocol ?? '')) throw new Error('the server answered with something that is no page')
    options.tell(`Sign in at:\n${url}`)
    if (options.open) openBrowser(url)
    const code = await loopback.code
    const session = await callOpenly<{ secret: string }>(server, organizationPath(organization, '/oidc/session'), { code, codeVerifier: verifier })
    return session.secret
  } finally {
    loopback.close()
  }
}

async function listen(state: string): Promise<{ redirectUri: string; code: Promise<string>; close(): void }> {
  const { promise: code, resolve, reject } = Promise.withResolvers<string>()
  code.catch(() => {}) // whoever awaits it has the reason
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://127.0.0.1')
    // Whatever else calls here, a browser for its icon or somebody who guesses, ends nothing.
    if (url.pathname !== '/callback' || url.searchParams.get('state') !== state) return void response.writeHead(404).end()
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', connection: 'close' }).end(PAGE)
    const found = url.searchParams.get('code')
    if (found !== null) resolve(found)
    else reject(new Error(`the sign-in was refused: ${url.searchParams.get('error_description') ?? url.searchParams.get('error') ?? 'no reason was given'}`))
  })
  await new Promise<void>((ready, failed) => server.once('error', failed).listen(0, '127.0.0.1', ready))
  const timer = setTimeout(() => reject(new Error('nobody came back from the sign-in within ten minutes')), PATIENCE_MS)
  return {
    redirectUri: `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`,
    code,
    close() {
      clearTimeout(timer)
      server.close()
      server.closeAllConnections()
    },
  }
}

/** As far as it is possible: the page is told anyway. */
function openBrowser(url: string): void {
  const command = process.env['BROWSER'] ?? (process.platform === 'darwin' ? 'open' : 'xdg-open')
  const child = spawn(command, [url], { stdio: 'ignore', detached: true })
  child.on('error', () => {}) // there is none
  child.unref()
}
