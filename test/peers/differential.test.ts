import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { deadPort } from '#proxy/testing/peers.ts'
import { makeWorld } from './differential-world.ts'
import { type RawAnswer, sendRaw } from './raw-http.ts'
import { startTwins, type Twins } from './twins.ts'

interface Call {
  readonly listener?: 'plain' | 'careful' | 'edge'
  readonly method?: string
  readonly path: string
  readonly host?: string
  /** Lines as they are sent. */
  readonly lines?: readonly string[]
  /** Sent behind the head, framing and all. */
  readonly body?: string
}

const chunked = (...chunks: readonly string[]): string => `${chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')}0\r\n`
const json = 'content-type: application/json'

const INTERNAL_LINES = [
  'x-envoy-original-path: /forged', 'X-Envoy-Original-Host: forged.example', 'x-envoy-decorator-operation: forged', 'x-envoy-downstream-service-cluster: forged', 'x-envoy-downstream-service-node: forged',
  'x-envoy-ip-tags: trusted', 'x-envoy-original-url: http://forged/', 'x-envoy-force-trace: true', 'x-envoy-upstream-rq-timeout-ms: 60000', 'x-envoy-upstream-rq-per-try-timeout-ms: 60000', 'x-envoy-retry-on: 5xx', 'x-envoy-retry-grpc-on: cancelled',
  'x-envoy-max-retries: 9', 'x-envoy-retriable-status-codes: 404', 'x-envoy-retriable-header-names: x-a', 'x-envoy-upstream-alt-stat-name: forged', 'x-envoy-upstream-rq-timeout-alt-response: 1', 'x-envoy-hedge-on-per-try-timeout: true',
  'x-envoy-something-else: kept',
]

/** A name that ends with `[id]` may differ: docs/reference/envoy-differences.md says why under that id. */
const TABLE: Readonly<Record<string, Call>> = {
  'the root': { path: '/' },
  'an exact path': { path: '/exact' },
  'an exact path with a query': { path: '/exact?x=1' },
  'nearly an exact path': { path: '/exactly' },
  'a path in any case': { path: '/ANY-case' },
  'segments': { path: '/segments/x' },
  'segments alone': { path: '/segments' },
  'nearly segments': { path: '/segmentsx' },
  'a rewritten prefix': { path: '/common/x?y' },
  'a rewritten pattern': { path: '/users/42?x=1' },
  'no pattern': { path: '/users/42/x' },
  'a header chooses': { path: '/by-header', lines: ['X-Version: v2'] },
  'a number chooses': { path: '/by-header/1', lines: ['x-number: 7'] },
  'a number is too large': { path: '/by-header/1', lines: ['x-number: 10'] },
  'a header twice': { path: '/by-header', lines: ['x-version: v2', 'x-version: v3'] },
  'a query chooses': { path: '/by-query?v=2&v=3' },
  'another query': { path: '/by-query?v=3' },
  'gRPC by its content type': { path: '/grpc/x', method: 'POST', lines: ['content-type: application/grpc', 'content-length: 0'] },
  'a redirect of gRPC': { method: 'POST', path: '/redirect/https', lines: ['content-type: application/grpc', 'content-length: 0'] },
  'gRPC without POST': { path: '/direct', lines: ['content-type: application/grpc'] },
  'not gRPC': { path: '/grpc/x', lines: ['content-type: application/grpcx'] },
  'a redirect to https': { path: '/redirect/https?x=1', host: 'a.example:80' },
  'a redirect elsewhere': { path: '/redirect/host?x=1' },
  'a redirect of a prefix': { path: '/redirect/prefix/x?y', host: 'a.example:99' },
  'a redirect by pattern': { path: '/redirect/regex/x/y?z=1' },
  'a direct answer': { path: '/direct' },
  'a direct answer to HEAD': { path: '/direct', method: 'HEAD' },
  'no such cluster': { path: '/nowhere' },
  'no endpoint': { path: '/empty' },
  'nobody listens': { path: '/dead' },
  'retries run out': { path: '/retried' },
  'retries of a POST': { path: '/retried', method: 'POST', lines: ['content-length: 3'], body: 'abc' },
  'too slow': { path: '/slow' },
  'a fault': { path: '/faulty' },
  'denied by path': { path: '/no/entry/x' },
  'denied by header': { path: '/', lines: ['x-forbidden: 1'] },
  'nearly denied': { path: '/no/exit' },
  'denied by address': { listener: 'edge', path: '/no/office', lines: ['x-forwarded-for: 198.51.100.7'] },
  'an address behind two hops': { listener: 'edge', path: '/no/office', lines: ['x-forwarded-for: 198.51.100.7, 203.0.113.1'] },
  'a forged address before a trusted one': { listener: 'edge', path: '/no/office', lines: ['x-forwarded-for: 203.0.113.1, 198.51.100.7'] },
  'an address where hops are believed': { path: '/no/office', lines: ['x-forwarded-for: 203.0.113.1, 198.51.100.7'] },
  'an address that is none': { listener: 'edge', path: '/no/office', lines: ['x-forwarded-for: 198.51.100.7:80'] },
  'addresses on two lines': { listener: 'edge', path: '/no/office', lines: ['x-forwarded-for: 203.0.113.1', 'x-forwarded-for: 198.51.100.7'] },
  'slashes in front of a policy': { listener: 'careful', path: '/no//entry/x' },
  'slashes that nobody merges, in front of a policy': { path: '/no//entry/x' },
  'a preflight': { path: '/cors', method: 'OPTIONS', lines: ['origin: https://shop.example', 'access-control-request-method: GET'] },
  'a preflight of strangers': { path: '/cors', method: 'OPTIONS', lines: ['origin: https://evil.example', 'access-control-request-method: GET'] },
  'a call from a page': { path: '/cors', lines: ['origin: https://shop.example'] },
  'a host with its port': { path: '/', host: 'ports.example:8443' },
  'a host without its port': { path: '/', host: 'ports.example' },
  'a host in upper case': { path: '/', host: 'PORTS.example:8443' },
  'a suffix': { path: '/', host: 'x.y.suffix.example' },
  'a bare suffix': { path: '/', host: 'suffix.example' },
  'a prefix': { path: '/', host: 'prefix.anything' },
  'a port that is stripped': { listener: 'careful', path: '/', host: 'changed.example:1234' },
  'TLS required': { path: '/x?y', host: 'secure.example' },
  'TLS ended before us': { listener: 'edge', path: '/', host: 'secure.example', lines: ['x-forwarded-proto: https'] },
  'a client that forges its scheme': { path: '/', host: 'secure.example', lines: ['x-forwarded-proto: https'] },
  'changed headers': { path: '/', host: 'changed.example', lines: ['x-gone: 1', 'x-once: old', 'x-only: old', 'x-added: client'] },
  'changed headers, none there': { path: '/', host: 'changed.example' },
  'forwarded for': { listener: 'edge', path: '/', lines: ['x-forwarded-for: 203.0.113.9'] },
  'what only the mesh may say, at the edge': { listener: 'edge', path: '/common/x', lines: INTERNAL_LINES },
  'what only the mesh may say, inside': { path: '/common/x', lines: INTERNAL_LINES },
  'what only the mesh may say, to a policy': { listener: 'edge', path: '/', lines: ['x-envoy-original-path: /no/entry', 'X-Envoy-Force-Trace: 1'] },
  'a host that the client rewrote before': { path: '/', host: 'changed.example', lines: ['x-envoy-original-host: forged.example'] },
  'a body by length': { method: 'POST', path: '/', lines: ['content-length: 5', json], body: 'hello' },
  'a body in chunks': { method: 'PUT', path: '/', lines: ['transfer-encoding: chunked'], body: `${chunked('hel', 'lo')}\r\n` },
  'an empty body in chunks': { method: 'POST', path: '/', lines: ['transfer-encoding: chunked'], body: `${chunked()}\r\n` },
  'a large body': { method: 'POST', path: '/', lines: ['content-length: 100000'], body: 'x'.repeat(100_000) },
  'HEAD': { method: 'HEAD', path: '/' },
  'DELETE': { method: 'DELETE', path: '/' },
  'a method of one\'s own': { method: 'PURGE', path: '/' },
  'hop-by-hop headers': { path: '/', lines: ['connection: x-hop, keep-alive', 'x-hop: 1', 'keep-alive: timeout=5', 'te: gzip', 'proxy-connection: keep-alive'] },
  'trailers are wanted': { path: '/', lines: ['te: trailers', 'connection: te'] },
  'Expect': { method: 'POST', path: '/', lines: ['content-length: 2', 'expect: 100-continue'], body: 'ok' },
  'the upstream answers 503': { path: '/fail/503' },
  'the upstream answers 404': { path: '/fail/404' },
  'the upstream answers 204': { path: '/bare/204' },
  'the upstream answers 304': { path: '/bare/304' },
  'the upstream resets': { path: '/reset', method: 'POST', lines: ['content-length: 0'] },
  'the upstream breaks off': { path: '/cut' },
  'the upstream closes': { path: '/close' },
  'absolute form': { path: 'http://ports.example:8443/exact' },
  'dot segments': { listener: 'careful', path: '/a/../exact' },
  'dot segments as they are': { path: '/a/../exact' },
  'encoded dots': { listener: 'careful', path: '/a/%2e%2E/exact' },
  'dots with parameters': { listener: 'careful', path: '/a/..;x=1/exact' },
  'one dot with a semicolon': { listener: 'careful', path: '/a/.;/b' },
  'a dot and a semicolon at the end': { listener: 'careful', path: '/a/.;' },
  'two dots and a semicolon at the end': { listener: 'careful', path: '/a/b/..;' },
  'two dots, a semicolon and more': { listener: 'careful', path: '/a/b/..;abc' },
  'encoded dots with a semicolon': { listener: 'careful', path: '/a/%2e%2e;/exact' },
  'an encoded semicolon': { listener: 'careful', path: '/a/..%3b/exact' },
  'three dots and a semicolon': { listener: 'careful', path: '/a/...;/b' },
  'above the root': { listener: 'careful', path: '/../../exact' },
  'slashes': { listener: 'careful', path: '//exact///' },
  'slashes alone': { listener: 'careful', path: '//' },
  'slashes as they are': { path: '//exact' },
  'an escaped slash': { listener: 'careful', path: '/a%2Fb' },
  'an escaped backslash': { listener: 'careful', path: '/a%5Cb' },
  'an escaped slash as it is': { path: '/a%2Fb' },
  'an escape of a letter': { listener: 'careful', path: '/%65xact' },
  'a broken escape': { listener: 'careful', path: '/a%zz' },
  'a fragment': { path: '/exact#x' },
  'a query of slashes': { listener: 'careful', path: '/exact?a=//..%2F' },
  'no host': { path: '/', host: '' },
  'two hosts': { path: '/', lines: ['host: other.example'] },
  'lengths that differ': { method: 'POST', path: '/', lines: ['content-length: 3', 'content-length: 4'], body: 'abcd' },
  'a length twice': { method: 'POST', path: '/', lines: ['content-length: 3', 'content-length: 3'], body: 'abc' },
  'a signed length': { method: 'POST', path: '/', lines: ['content-length: +3'], body: 'abc' },
  'length and chunks': { method: 'POST', path: '/', lines: ['content-length: 3', 'transfer-encoding: chunked'], body: `${chunked('abc')}\r\n` },
  'an unknown coding': { method: 'POST', path: '/', lines: ['transfer-encoding: gzip, chunked'], body: `${chunked('abc')}\r\n` },
  'a folded line': { path: '/', lines: ['x-a: 1\r\n 2'] },
  'a space before the colon': { path: '/', lines: ['x-a : 1'] },
  'an empty name': { path: '/', lines: [': 1'] },
  'a control character': { path: '/', lines: ['x-a: \u0001'] },
  'a bad chunk size': { method: 'POST', path: '/', lines: ['transfer-encoding: chunked'], body: 'xyz\r\nabc\r\n0\r\n\r\n' },
  'an underscore': { path: '/', lines: ['x_under: 1'] },
  'a very long header': { path: '/', lines: [`x-long: ${'a'.repeat(70_000)}`] },
  'many headers': { path: '/', lines: Array.from({ length: 101 }, (_, at) => `x-many-${at}: 1`) },
}

/** Which headers of an answer count: those that clients act upon, and those that the configuration sets. */
const KEY_HEADERS = ['location', 'content-type', 'x-answer', 'x-upstream', 'x-twice', 'x-new', 'retry-after', 'set-cookie', 'access-control-allow-origin', 'access-control-allow-methods', 'access-control-allow-headers', 'access-control-max-age', 'access-control-expose-headers', 'access-control-allow-credentials', 'x-envoy-overloaded', 'x-envoy-ratelimited']

function bytesOf({ method = 'GET', path, host = 'a.example', lines = [], body = '' }: Call): string {
  return `${method} ${path} HTTP/1.1\r\n${host === '' ? '' : `Host: ${host}\r\n`}${lines.map((line) => `${line}\r\n`).join('')}\r\n${body}`
}

/** What must be equal. */
function essence(answer: RawAnswer): object {
  const headers = Object.fromEntries(KEY_HEADERS.flatMap((name) => (answer.headers[name] === undefined ? [] : [[name, answer.headers[name]]])))
  let body: unknown = answer.body
  if (answer.headers['content-type'] === 'application/json' && answer.body.startsWith('{')) {
    const seen = JSON.parse(answer.body) as { headers: Record<string, unknown> }
    // On the page: `forwarded for`.
    const { 'x-envoy-external-address': _external, 'x-forwarded-for': forwardedFor, ...rest } = seen.headers
    const told = typeof forwardedFor === 'string' ? { 'x-forwarded-for': forwardedFor.replace(/[^,]*$/, 'caller') } : {}
    body = { ...seen, headers: Object.fromEntries(Object.entries({ ...rest, ...told }).sort(([a], [b]) => (a < b ? -1 : 1))) }
  }
  return { status: answer.status, headers, body }
}

async function both(twins: Twins, call: Call): Promise<{ envoy: object; weft: object }> {
  const bytes = bytesOf(call)
  const [envoy, weft] = await Promise.all([twins.envoy, twins.weft].map(async (engine) => essence(await sendRaw(engine.port(call.listener ?? 'plain'), bytes, call.method ?? 'GET'))))
  return { envoy: envoy ?? {}, weft: weft ?? {} }
}

const page = readFileSync(join(import.meta.dirname, '../../docs/reference/envoy-differences.md'), 'utf8')
/** Rows of the page's table: the case's name in backquotes, and whether generated requests avoid it too. */
const explained = new Set([...page.matchAll(/^\| `([^`]+)`/gm)].map((found) => found[1]))

test('Weft answers as Envoy does under the same configuration', async (t) => {
  const twins = await startTwins(t, await makeWorld(t, await deadPort()))

  await t.test('each request of the table', async () => {
    const differences: string[] = []
    const same: string[] = []
    for (const [name, call] of Object.entries(TABLE)) {
      const { envoy, weft } = await both(twins, call)
      if (JSON.stringify(envoy) === JSON.stringify(weft)) same.push(name)
      else if (!explained.has(name)) differences.push(`${name}\n  envoy ${JSON.stringify(envoy).slice(0, 600)}\n  weft  ${JSON.stringify(weft).slice(0, 600)}`)
    }
    assert.deepEqual(differences, [])
    // A page that explains what is no difference any more misleads.
    assert.deepEqual(same.filter((name) => explained.has(name)), [])
  })

  await t.test('requests that are generated', async () => {
    const word = fc.stringMatching(/^[a-z0-9._~%!$&'()*+,;=:@-]{0,8}$/).filter((text) => !/%(?![0-9a-f]{2})|%2f|%5c|%00/i.test(text))
    const head = fc.constantFrom('', '/exact', '/any-case', '/segments', '/common', '/users/7', '/by-header', '/by-query', '/grpc', '/redirect/https', '/redirect/prefix', '/redirect/regex', '/direct', '/no/entry', '/fail/500', '/bare/204', '/reset', '/close', '/cors')
    const path = fc.tuple(head, fc.array(word, { maxLength: 3 }), fc.option(fc.tuple(word, word))).map(([first, rest, query]) => `${first}${rest.map((one) => `/${one}`).join('') || (first === '' ? '/' : '')}${query === null ? '' : `?${query[0]}=${query[1]}`}`)
    const line = fc.oneof(
      fc.constantFrom('x-version: v2', 'x-number: 5', 'x-forbidden: 1', 'x-gone: 1', 'x-once: 1', 'x-only: 1', 'origin: https://shop.example', 'te: trailers', 'content-type: application/grpc', 'x-forwarded-proto: https', 'x-forwarded-for: 203.0.113.1, 203.0.113.2', 'accept: */*', 'cookie: a=1'),
      fc.tuple(fc.stringMatching(/^x-[a-z]{1,6}$/), fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/)).map(([name, value]) => `${name}: ${value}`),
    )
    const framing = fc.oneof(
      fc.constant({ lines: [] as string[], body: '' }),
      fc.string({ maxLength: 300, unit: 'grapheme-ascii' }).map((text) => ({ lines: [`content-length: ${text.length}`], body: text })),
      fc.array(fc.string({ minLength: 1, maxLength: 50, unit: 'grapheme-ascii' }), { maxLength: 4 }).map((chunks) => ({ lines: ['transfer-encoding: chunked'], body: `${chunked(...chunks)}\r\n` })),
    )
    const call = fc.record({
      listener: fc.constantFrom('plain' as const, 'careful' as const, 'edge' as const),
      method: fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'),
      path,
      host: fc.constantFrom('a.example', 'ports.example:8443', 'x.suffix.example', 'changed.example', 'secure.example', 'A.Example:80'),
      lines: fc.array(line, { maxLength: 5 }),
      framing,
    })
    await fc.assert(
      fc.asyncProperty(call, async ({ framing: { lines, body }, ...rest }) => {
        // Under `gRPC without POST` and `a redirect of gRPC` on the page.
        fc.pre((rest.method === 'POST' && !rest.path.startsWith('/redirect') && rest.host !== 'secure.example') || !rest.lines.includes('content-type: application/grpc'))
        // Under `encoded dots with a semicolon` and `slashes alone`.
        fc.pre(rest.listener !== 'careful' || !/\/(?:\.|%2e){1,2};/i.test(rest.path.replaceAll(/\/\.\.?;/g, '')))
        fc.pre(rest.listener !== 'careful' || !/^(?:\/|\.|%2e)*$/i.test(rest.path.split('?')[0] ?? ''))
        const names = rest.lines.map((one) => one.slice(0, one.indexOf(':')))
        fc.pre(new Set(names).size === names.length)
        const { envoy, weft } = await both(twins, { ...rest, lines: [...rest.lines, ...lines], body })
        assert.deepEqual(weft, envoy)
      }),
      { numRuns: 3000, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: false },
    )
  })
})
