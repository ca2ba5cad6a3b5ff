import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import http2 from 'node:http2'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import * as fc from 'fast-check'
import { connect } from '#proxy/testing/http2-peers.ts'
import { deadPort, netServer } from '#proxy/testing/peers.ts'
import { makeWorld } from './differential-world.ts'
import { httpListener, startTwins, staticCluster } from './twins.ts'

/** What an upstream may say that a proxy must understand, mend or refuse. */
const ANSWERS: Readonly<Record<string, string>> = {
  'plain': 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok',
  'no reason': 'HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok',
  'until close': 'HTTP/1.1 200 OK\r\n\r\nok',
  'HTTP/1.0': 'HTTP/1.0 200 OK\r\n\r\nok',
  'hints first': 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok',
  'chunks and trailers': 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n2;a=b\r\nok\r\n0\r\nx-t: 1\r\n\r\n',
  'no content': 'HTTP/1.1 204 No Content\r\n\r\n',
  'not modified': 'HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\netag: "x"\r\n\r\n',
  'two lengths': 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!',
  'length and chunks': 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
  'a bad length': 'HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\nok',
  'a negative length': 'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nok',
  'a bad status': 'HTTP/1.1 abc OK\r\ncontent-length: 2\r\n\r\nok',
  'no HTTP': 'SSH-2.0-x\r\n',
  'nothing': '',
  'half a head': 'HTTP/1.1 200 OK\r\ncontent-le',
  'a NUL': 'HTTP/1.1 200 OK\r\nx-a: \0\r\ncontent-length: 2\r\n\r\nok',
  'no name': 'HTTP/1.1 200 OK\r\n: x\r\ncontent-length: 2\r\n\r\nok',
  'an unknown coding': 'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nok',
  'connection headers': 'HTTP/1.1 200 OK\r\nconnection: x-hop, close\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\ncontent-length: 2\r\n\r\nok',
  'cookies': 'HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 2\r\n\r\nok',
  'a status of one\'s own': 'HTTP/1.1 299 Odd\r\ncontent-length: 2\r\n\r\nok',
  'a switch that nobody asked for': 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n',
}

interface Call {
  readonly listener: string
  readonly method: string
  readonly path: string
  readonly authority: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly trailers: Readonly<Record<string, string>>
}

/** Headers of an answer that clients act upon, and those that the configuration sets. */
const KEY_HEADERS = ['location', 'content-type', 'content-length', 'x-answer', 'x-upstream', 'x-twice', 'x-new', 'x-hop', 'set-cookie', 'etag', 'link', 'grpc-status', 'access-control-allow-origin', 'access-control-expose-headers', 'x-envoy-overloaded']
const PATIENCE_MS = 60_000
/** Which requests are generated: the same in every run, unless another is given to look further. */
const SEED = Number(process.env['WEFT_FUZZ_SEED'] ?? 9113)

/** One request; what must be equal of its answer. */
function ask(session: http2.ClientHttp2Session, call: Call): Promise<object> {
  return new Promise((resolve) => {
    const trails = Object.keys(call.trailers).length > 0
    const stream = session.request({ ':method': call.method, ':path': call.path, ':authority': call.authority, ...call.headers }, { endStream: call.body === '' && !trails, waitForTrailers: trails })
    let told: Record<string, unknown> = {}
    let text = ''
    stream.setTimeout(PATIENCE_MS, () => stream.close(http2.constants.NGHTTP2_CANCEL))
    stream.on('response', (headers) => (told = { status: headers[':status'], headers: Object.fromEntries(KEY_HEADERS.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]]]))) }))
    stream.on('trailers', (lines) => (told = { ...told, trailers: { ...lines } }))
    stream.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
    stream.on('error', () => undefined)
    stream.on('wantTrailers', () => stream.sendTrailers(call.trailers))
    // Which code resets a stream is each proxy's own; that it is reset is not.
    stream.on('close', () => resolve({ ...told, body: essence(text), reset: stream.rstCode !== 0 }))
    if (call.body !== '' || trails) stream.end(call.body)
  })
}

function essence(text: string): unknown {
  if (!text.startsWith('{')) return text
  const seen = JSON.parse(text) as { headers: Record<string, unknown> }
  // On the page: `forwarded for`.
  const { 'x-envoy-external-address': _external, 'x-forwarded-for': forwardedFor, ...rest } = seen.headers
  const caller = typeof forwardedFor === 'string' ? { 'x-forwarded-for': forwardedFor.replace(/[^,]*$/, 'caller') } : {}
  // It tells the client's number of bytes, and the JSON's own length with it.
  return { ...seen, headers: Object.fromEntries(Object.entries({ ...rest, ...caller }).sort(([a], [b]) => (a < b ? -1 : 1))) }
}

const oddServer = (t: TestContext): Promise<{ port: number }> =>
  netServer(t, (socket) => {
    socket.on('data', (bytes: Buffer) => {
      const [, nth = ''] = /\/(\d+) HTTP/.exec(bytes.toString('latin1')) ?? []
      socket.end(Object.values(ANSWERS)[Number(nth)] ?? '', 'latin1')
    })
  })

const page = readFileSync(join(import.meta.dirname, '../../docs/reference/envoy-differences.md'), 'utf8')
const explained = new Set([...page.matchAll(/^\| `([^`]+)`/gm)].map((found) => found[1]))
const quiet = { headers: {}, body: '', trailers: {} }

test('over HTTP/2 Weft answers as Envoy does under the same configuration', async (t) => {
  const [world, odd] = await Promise.all([makeWorld(t, await deadPort()), oddServer(t)])
  const oddHosts = [{ name: 'odd', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'odd' } }] }]
  const twins = await startTwins(t, { listeners: [...world.listeners, httpListener('odd', oddHosts)], clusters: [...world.clusters, staticCluster('odd', [odd.port])] })
  const sessions = new Map<string, http2.ClientHttp2Session>()
  const session = async (port: number): Promise<http2.ClientHttp2Session> => {
    const known = sessions.get(String(port))
    if (known !== undefined && !known.closed && !known.destroyed) return known
    const made = await connect(t, port)
    sessions.set(String(port), made)
    return made
  }
  const both = async (call: Call): Promise<{ envoy: object; weft: object }> => {
    const [envoy = {}, weft = {}] = await Promise.all([twins.envoy, twins.weft].map(async (engine) => ask(await session(engine.port(call.listener)), call)))
    return { envoy, weft }
  }

  await t.test('whatever the upstream says', async () => {
    const differences: string[] = []
    const same: string[] = []
    for (const [nth, name] of Object.keys(ANSWERS).entries()) {
      const { envoy, weft } = await both({ ...quiet, listener: 'odd', method: 'GET', path: `/${nth}`, authority: 'a' })
      if (JSON.stringify(envoy) === JSON.stringify(weft)) same.push(`upstream: ${name}`)
      else if (!explained.has(`upstream: ${name}`)) differences.push(`upstream: ${name}\n  envoy ${JSON.stringify(envoy)}\n  weft  ${JSON.stringify(weft)}`)
    }
    assert.deepEqual(differences, [])
    assert.deepEqual(same.filter((name) => explained.has(name)), [])
  })

  await t.test('gRPC that never reaches a server', async () => {
    for (const path of ['/direct', '/nowhere/x', '/empty/x', '/dead/x', '/faulty/x', '/no/entry', '/slow/x', '/fail/503', '/fail/404']) {
      const { envoy, weft } = await both({ ...quiet, listener: 'plain', method: 'POST', path, authority: 'a.example', headers: { 'content-type': 'application/grpc', te: 'trailers' }, body: '\0\0\0\0\0' })
      assert.deepEqual(weft, envoy, path)
    }
  })

  await t.test('requests that are generated', async () => {
    const word = fc.stringMatching(/^[a-z0-9._~!$&'()*+,;=:@-]{0,8}$/)
    const head = fc.constantFrom('', '/exact', '/segments', '/common', '/users/7', '/by-header', '/by-query', '/grpc', '/redirect/prefix', '/direct', '/no/entry', '/fail/500', '/bare/204', '/reset', '/cut', '/close', '/cors', '/dead', '/empty', '/nowhere', '/faulty', '/retried')
    const path = fc.tuple(head, fc.array(word, { maxLength: 3 }), fc.option(fc.tuple(word, word))).map(([first, rest, query]) => `${first}${rest.map((one) => `/${one}`).join('') || (first === '' ? '/' : '')}${query === null ? '' : `?${query[0]}=${query[1]}`}`)
    const header = fc.oneof(
      fc.constantFrom(['x-version', 'v2'], ['x-number', '5'], ['x-forbidden', '1'], ['x-gone', '1'], ['x-once', '1'], ['origin', 'https://shop.example'], ['te', 'trailers'], ['x-forwarded-proto', 'https'], ['x-forwarded-for', '203.0.113.1, 203.0.113.2'], ['cookie', 'a=1']),
      fc.tuple(fc.stringMatching(/^x-[a-z]{1,6}$/), fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/)),
    )
    const text = fc.string({ maxLength: 300, unit: 'grapheme-ascii' })
    const call = fc.record({
      listener: fc.constantFrom('plain', 'careful', 'edge'),
      method: fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH'),
      path,
      authority: fc.constantFrom('a.example', 'ports.example:8443', 'x.suffix.example', 'changed.example'),
      headers: fc.array(header, { maxLength: 4 }).map((all) => Object.fromEntries(all) as Record<string, string>),
      body: text,
      // On the page: they go on to HTTP/1.1.
      trailers: fc.constant({}),
    })
    await fc.assert(
      fc.asyncProperty(call, async (one) => {
        // On the page: dots with a semicolon, slashes alone.
        fc.pre(one.listener !== 'careful' || (!/\/\.{1,2};/.test(one.path) && !/^(?:\/|\.)*$/.test(one.path.split('?')[0] ?? '')))
        // On the page: the scheme of a redirect.
        fc.pre(!one.path.startsWith('/redirect') || !('x-forwarded-proto' in one.headers))
        const carries = one.method !== 'GET' && one.method !== 'HEAD' && one.method !== 'DELETE'
        const { envoy, weft } = await both({ ...one, body: carries ? one.body : '' })
        assert.deepEqual(weft, envoy)
      }),
      { seed: SEED, numRuns: 1500, interruptAfterTimeLimit: 30_000, markInterruptAsFailure: false },
    )
  })
})
