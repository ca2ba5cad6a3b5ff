import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { commands } from '#cli/commands.ts'
import { root, runCommand, Shop, type Ran } from './shop.ts'

const run = (args: readonly string[], env: Record<string, string> = {}, input = ''): Promise<Ran> =>
  runCommand(process.execPath, ['--disable-warning=ExperimentalWarning', 'cli/main.ts', ...args], { env, input })

const orders = path.join(root, 'examples/shop/config/20-orders.yaml')

describe('the weft command on a running shop', () => {
  const shop = new Shop({ engine: 'weft', database: 'pglite' })
  const dir = mkdtempSync(path.join(tmpdir(), 'weft-cli-'))
  before(() => shop.start())
  after(async () => {
    await shop.stop()
    shop.remove()
    rmSync(dir, { recursive: true })
  })

  test('every command says how it is used, on standard output, and exits 0', async () => {
    for (const { name } of commands) {
      const { code, stdout, stderr } = await run([name, '--help'])
      assert.deepEqual([name, code, stderr], [name, 0, ''])
      assert.ok(stdout.startsWith(`weft ${name}`), `${name}: ${stdout.slice(0, 60)}`)
      assert.ok(stdout.trim().split('\n').length >= 3, `${name} explains itself`)
    }
    const { code, stdout, stderr } = await run(['--help'])
    assert.deepEqual([code, stdout], [0, ''])
    for (const { name } of commands) assert.match(stderr, new RegExp(`^  ${name} `, 'm'))
  })

  test('0: done, and standard output holds what was asked for alone', async () => {
    for (const args of [['get', 'vs', '-A', '-o', 'json'], ['history', '-o', 'json'], ['proxy-status', '-o', 'json'], ['describe', 'vs', 'order-service', '-n', 'prod', '-o', 'json'], ['proxy-config', 'all', 'client.prod', '-o', 'json'], ['mesh', 'list', '-o', 'json'], ['key', 'list', '-o', 'json'], ['apply', '-f', orders, '--wait', '-o', 'json']]) {
      const { code, stdout, stderr } = await shop.weft(args)
      assert.equal(code, 0, `${args.join(' ')}: ${stderr}`)
      assert.doesNotThrow(() => void JSON.parse(stdout), `${args.join(' ')} prints one JSON document: ${stdout.slice(0, 200)}`)
    }
    const applied = await shop.weft(['apply', '-f', orders, '--wait'])
    assert.match(applied.stdout, /^(\S+ (configured|unchanged|created)\n)+revision \d+\n$/)
    assert.match(applied.stderr, /acknowledged by \d+ prox/)
  })

  test('describe names the proxies that carry an object, and what is wrong with it', async () => {
    const applied = await shop.weft(['apply', '-f', '-', '--wait'], 'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: dangling, namespace: prod }\nspec: { hosts: [catalogue], http: [{ route: [{ destination: { host: nowhere } }] }] }\n')
    assert.equal(applied.code, 0, applied.stderr)
    const told = await shop.weft(['describe', 'vs', 'dangling', '-n', 'prod'])
    assert.equal(told.code, 0, told.stderr)
    assert.match(told.stdout, /^CONDITIONS\n +TYPE.*\n +Accepted +True/m)
    assert.match(told.stdout, /^FINDINGS\n +warning: .*nowhere/m)
    assert.match(told.stdout, /^ +client\.prod +weft +\w+ +\S/m)
    assert.equal((await shop.weft(['delete', 'vs', 'dangling', '-n', 'prod'])).code, 0)
  })

  test('1: failed, when the file is wrong or the server is away', async () => {
    const wrong = await shop.weft(['apply', '-f', '-'], 'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: a, namespace: prod }\nspec: { hosts: [a], http: [{ route: [{ destination: { host: a }, weight: 150 }] }] }\n')
    assert.deepEqual([wrong.code, wrong.stdout], [1, ''])
    assert.match(wrong.stderr, /standard input:4.*weight.*150/)
    const away = await run(['get', 'vs'], { ...shop.weftEnv, WEFT_SERVER: 'http://127.0.0.1:9' })
    assert.deepEqual([away.code, away.stdout], [1, ''])
    assert.match(away.stderr, /127\.0\.0\.1:9 does not answer/)
    const missing = await shop.weft(['apply', '-f', path.join(dir, 'not-there.yaml')])
    assert.deepEqual([missing.code, missing.stdout], [1, ''])
  })

  test('2: wrong usage, before anything is asked of a server', async () => {
    for (const args of [[], ['nonsense'], ['get'], ['get', 'nonsense'], ['apply'], ['get', 'vs', '--nonsense'], ['get', 'vs', '-o', 'jsonn'], ['apply', '-f', orders, '--wait=soon'], ['mesh'], ['token', 'create'], ['proxy-config', 'nonsense', 'client.prod'], ['up', '--engine', 'nginx'], ['up', '--port-base', '-1'], ['server', '--rest-port', 'eighty'], ['login']]) {
      const { code, stdout, stderr } = await run(args, { ...(args[0] === 'login' ? {} : shop.weftEnv) })
      assert.deepEqual([args.join(' '), code, stdout], [args.join(' '), 2, ''])
      assert.notEqual(stderr, '')
    }
  })

  test('3: not authorised, for a key that is wrong or may not do it', async () => {
    const wrong = await run(['get', 'vs', '-A'], { ...shop.weftEnv, WEFT_API_KEY: 'weft_key_wrong' })
    assert.deepEqual([wrong.code, wrong.stdout], [3, ''])
    const viewer = (await shop.weft(['key', 'create', 'reader', '--role', 'viewer'])).stdout.trim()
    assert.match(viewer, /^weft_key_\S+$/)
    const reads = await run(['get', 'vs', '-A'], { ...shop.weftEnv, WEFT_API_KEY: viewer })
    assert.equal(reads.code, 0, reads.stderr)
    const writes = await run(['apply', '-f', orders], { ...shop.weftEnv, WEFT_API_KEY: viewer })
    assert.deepEqual([writes.code, writes.stdout], [3, ''])
  })

  test('4: not found', async () => {
    for (const args of [['get', 'vs', 'nobody', '-n', 'prod'], ['delete', 'vs', 'nobody', '-n', 'prod'], ['proxy-status', 'nobody.prod'], ['proxy-config', 'listener', 'nobody.prod'], ['explain', '--from', 'nobody.prod', 'http://order-service:8080/']]) {
      const { code, stdout, stderr } = await shop.weft(args)
      assert.deepEqual([args.join(' '), code, stdout], [args.join(' '), 4, ''])
      assert.notEqual(stderr, '')
    }
    assert.equal((await shop.weft(['delete', 'vs', 'nobody', '-n', 'prod', '--ignore-not-found'])).code, 0)
    assert.equal((await run(['get', 'vs'], { ...shop.weftEnv, WEFT_MESH: 'demo/nowhere' })).code, 4)
  })

  test('5: conflict, when the name is taken', async () => {
    const { code, stdout, stderr } = await shop.weft(['mesh', 'create', 'shop'])
    assert.deepEqual([code, stdout], [5, ''], stderr)
  })

  test('6: timed out waiting, with the name of the proxy that did not acknowledge', async (t) => {
    const { pid } = shop.workload('client')
    process.kill(pid, 'SIGSTOP')
    t.after(() => process.kill(pid, 'SIGCONT'))
    const text = readFileSync(orders, 'utf8').replace(/weight: 90/, 'weight: 80').replace(/weight: 10/, 'weight: 20')
    const { code, stderr } = await shop.weft(['apply', '-f', '-', '--wait=500ms'], text)
    assert.equal(code, 6, stderr)
    assert.match(stderr, /not acknowledged in time by .*client/)
    process.kill(pid, 'SIGCONT')
    assert.equal((await shop.weft(['apply', '-f', '-', '--wait'], text)).code, 0)
  })

  test('79: findings', async () => {
    const file = path.join(dir, 'wrong.yaml')
    writeFileSync(file, 'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: a, namespace: prod }\nspec: { hosts: [a], http: [{ route: [{ destination: { host: a }, weight: 150 }] }] }\n')
    assert.equal((await run(['validate', '-f', file])).code, 79)
    assert.equal((await run(['validate', '-f', orders])).code, 0)
  })

  test('a login is remembered, by its owner alone, and only when the server accepts the key', async () => {
    const { rest, apiKey } = shop.ready
    const env = { XDG_CONFIG_HOME: path.join(dir, 'config') }
    const refused = await run(['login', '--server', rest, '--mesh', 'demo/shop'], env, 'weft_key_wrong\n')
    assert.equal(refused.code, 3)
    assert.equal((await run(['get', 'vs', '-A'], env)).code, 2)
    const accepted = await run(['login', '--server', `${rest}/`], env, `${apiKey}\n`)
    assert.deepEqual([accepted.code, accepted.stdout], [0, ''], accepted.stderr)
    assert.match(accepted.stderr, /logged in to demo\/shop/)
    assert.equal(statSync(path.join(dir, 'config/weft/context.json')).mode & 0o077, 0)
    const listed = await run(['get', 'vs', '-A', '-o', 'name'], env)
    assert.match(listed.stdout, /virtualservice\.networking\.istio\.io\/order-service/)
  })

  test('no colour where there is no terminal', async () => {
    for (const args of [['get', 'vs', '-A'], ['proxy-status'], ['history'], ['explain', '--from', 'client.prod', 'http://order-service:8080/orders']]) {
      const { stdout, stderr } = await shop.weft(args)
      assert.equal(`${stdout}${stderr}`.includes('\u001B['), false, args.join(' '))
    }
  })
})
