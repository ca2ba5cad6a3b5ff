import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { restApi } from '#api/rest/app.ts'
import { openApi, serveApp } from '#test/parts/api.ts'
import type { ApiUnderTest } from '#test/parts/api.ts'
import { BrowserLike } from '#test/parts/browser.ts'
import { startOidcProvider } from '#test/parts/oidc-provider.ts'
import type { OidcProvider } from '#test/parts/oidc-provider.ts'

// Organizations, members, keys, tokens and the ways in, by the commands.

let api: ApiUnderTest
let served: Awaited<ReturnType<typeof serveApp>>
let provider: OidcProvider
let owner = ''
const folder = mkdtempSync(path.join(tmpdir(), 'weft-people-'))
const main = fileURLToPath(new URL('../main.ts', import.meta.url))

before(async () => {
  api = await openApi({ publicUrl: () => served.url })
  served = await serveApp(restApi(api.doors))
  provider = await startOidcProvider({ ada: { email: 'ada@example.com', email_verified: true }, eve: { email: 'eve@example.com', email_verified: true } }, { redirectUri: `${served.url}/api/v1/organizations/demo/oidc/callback` })
  owner = await api.key('owner')
})
after(async () => {
  await provider?.stop()
  await served?.close()
  await api?.close()
  rmSync(folder, { recursive: true, force: true })
})

interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** @param onError each piece of standard error as it comes */
function weft(args: string[], { key = owner, input = '', onError }: { key?: string | null; input?: string; onError?: (text: string) => void } = {}): Promise<Ran> {
  const env = { PATH: process.env['PATH'], HOME: folder, XDG_CONFIG_HOME: folder, WEFT_SERVER: served.url, ...(key === null ? {} : { WEFT_API_KEY: key }) }
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...args], { env, stdio: ['pipe', 'pipe', 'pipe'] })
  let [out, err] = ['', '']
  child.stdout.on('data', (text) => (out += String(text)))
  child.stderr.on('data', (text) => {
    err += String(text)
    onError?.(err)
  })
  // One that ends before it reads says by its code how.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, out, err })))
}

const done = async (args: string[], options?: Parameters<typeof weft>[1]): Promise<string> => {
  const ran = await weft(args, options)
  assert.equal(ran.code, 0, `${args.join(' ')}: ${ran.err}`)
  return ran.out.trim()
}

const stored = (): { apiKey: string; organization: string; mesh: string } => JSON.parse(readFileSync(path.join(folder, 'weft/context.json'), 'utf8')) as { apiKey: string; organization: string; mesh: string }

/** `weft login --oidc`, with a person at the browser whose address is printed. */
async function loginThrough(login: string): Promise<Ran> {
  let visited = false
  return weft(['login', '--org', 'demo', '--oidc', '--no-browser'], {
    key: null,
    onError(text) {
      const url = /^https?:\S+$/m.exec(text)?.[0]
      if (visited || url === undefined || !text.includes(`${url}\n`)) return
      visited = true
      const browser = new BrowserLike()
      void provider.signIn(url, login, browser).then(async (callback) => {
        const back = await browser.sentOn(callback)
        // Somebody else on the machine guesses at the port, and is not heard.
        assert.equal((await fetch(`${back.origin}/callback?code=made-up&state=made-up`)).status, 404)
        await fetch(back)
      })
    },
  })
}

test('an organization is made with the bootstrap key, and its first owner goes on from there', async () => {
  const key = await done(['org', 'create', 'fresh'], { key: api.bootstrapKey })
  assert.match(key, /^weft_key_/)
  assert.match(await done(['mesh', 'create', 'first', '--org', 'fresh'], { key }), /fresh\/first created/)
  assert.deepEqual((JSON.parse(await done(['org', 'list', '-o', 'json'], { key })) as { name: string }[]).map((one) => one.name), ['fresh'])
  assert.equal((await weft(['org', 'create', 'other'], { key })).code, 3)
})

test('a member is invited, enters with a password, gets another role, is kept out and deleted', async () => {
  await done(['member', 'create', 'linus', '--role', 'viewer', '--password', '--org', 'demo'], { input: 'correct horse battery\n' })
  const login = await weft(['login', '--org', 'demo', '--name', 'linus'], { key: null, input: 'correct horse battery\n' })
  assert.equal(login.code, 0, login.err)
  assert.deepEqual([stored().organization, stored().mesh], ['demo', 'shop'])
  assert.equal((await weft(['login', '--org', 'demo', '--name', 'linus'], { key: null, input: 'wrong\n' })).code, 3)
  await done(['member', 'set', 'linus', '--role', 'editor', '--org', 'demo'])
  await done(['member', 'set', 'linus', '--disable', '--org', 'demo'])
  assert.match(await done(['member', 'list', '--org', 'demo']), /linus\s+editor\s+disabled/)
  await done(['member', 'delete', 'linus', '--org', 'demo'])
  assert.equal((await weft(['member', 'delete', 'linus', '--org', 'demo'])).code, 4)
})

test('weft login --oidc signs in through the provider, for whoever was invited', async () => {
  const set = await done(['org', 'oidc', 'set', '--issuer', provider.issuer, '--client-id', 'weft', '--secret', '--org', 'demo'], { input: `${provider.clientSecret}\n` })
  assert.match(set, /redirectUri: http.*\/organizations\/demo\/oidc\/callback/)
  assert.ok(!set.includes(provider.clientSecret))
  assert.match(await done(['member', 'create', 'ada@example.com', '--org', 'demo']), /^weft_invite_/)
  const ran = await loginThrough('ada')
  assert.equal(ran.code, 0, ran.err)
  assert.match(ran.err, /logged in to demo\/shop/)
  assert.ok(!ran.err.includes('weft_key_') && ran.out === '')
  assert.equal(await done(['mesh', 'list', '-o', 'json', '--org', 'demo'], { key: stored().apiKey }).then((text) => (JSON.parse(text) as unknown[]).length), 1)
  const stranger = await loginThrough('eve')
  assert.equal(stranger.code, 1)
  assert.match(stranger.err, /refused: a member of the organization, or somebody whom it has invited/)
})

test('keys and tokens are made, listed and deleted', async () => {
  const key = await done(['key', 'create', 'ci', '--role', 'viewer', '--only-namespace', 'prod', '--org', 'demo'])
  const listed = (JSON.parse(await done(['key', 'list', '-o', 'json', '--org', 'demo'])) as { id: string; name: string; namespaces: string[] }[]).find((one) => one.name === 'ci')
  assert.deepEqual(listed?.namespaces, ['prod'])
  await done(['key', 'delete', listed?.id ?? '', '--org', 'demo'])
  assert.equal((await weft(['org', 'list'], { key })).code, 3)
  const mesh = ['--mesh', 'demo/shop']
  assert.match(await done(['token', 'create', '-n', 'prod', '--service-account', 'a', ...mesh]), /^weft_join_/)
  const [token] = JSON.parse(await done(['token', 'list', '-o', 'json', ...mesh])) as { id: string }[]
  await done(['token', 'delete', token?.id ?? '', ...mesh])
  assert.deepEqual(JSON.parse(await done(['token', 'list', '-o', 'json', ...mesh])), [])
  assert.equal((await weft(['token', 'delete', token?.id ?? '', ...mesh])).code, 4)
})

test('the audit log tells who was refused', async () => {
  const viewer = await api.key('viewer')
  assert.equal((await weft(['key', 'create', 'mine', '--org', 'demo'], { key: viewer })).code, 3)
  assert.match(await done(['org', 'audit', '--actor', 'viewer-key', '--refused', '--org', 'demo']), /viewer-key\s+127\.0\.0\.1\s+403\s+POST \/api\/v1\/organizations\/demo\/keys/)
})
