import assert from 'node:assert/strict'
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import { test, type TestContext } from 'node:test'
import type { JsonValue } from '@bufbuild/protobuf'
import { connect, http2Server } from '#proxy/testing/http2-peers.ts'
import { deadPort, netServer, until } from '#proxy/testing/peers.ts'
import { httpListener, staticCluster, startTwins } from './twins.ts'

/** What is said through a tunnel, and what becomes of it at the far end. */
const FAREWELL = 'last words'

/** Answers each line in capitals; some lines end what they come on. Says goodbye when the other side has ended. */
const echo = (socket: net.Socket): void => {
  socket.on('error', () => undefined)
  socket.on('data', (bytes: Buffer) => {
    const text = bytes.toString('latin1')
    if (text.includes('reset')) socket.resetAndDestroy()
    else if (text.includes('end')) socket.end(FAREWELL)
    else socket.write(text.toUpperCase())
  })
  socket.on('end', () => socket.end(FAREWELL))
}

/** A proxy of HTTP/1.1 that is asked for a tunnel: grants it, with bytes behind the head at once, or refuses by what is asked for. */
const granting = (seen: string[]) => (socket: net.Socket): void => {
  socket.on('error', () => undefined)
  let head = ''
  const read = (bytes: Buffer): void => {
    head += bytes.toString('latin1')
    const end = head.indexOf('\r\n\r\n')
    if (end < 0) return
    socket.off('data', read)
    const [line = ''] = head.split('\r\n')
    seen.push(line)
    if (line.includes('refused')) return void socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 3\r\nx-why: none\r\n\r\nno!')
    socket.write('HTTP/1.1 200 Granted\r\ncontent-length: 7\r\nx-by: one\r\n\r\nhello;')
    echo(socket)
    const rest = head.slice(end + 4)
    if (rest !== '') socket.emit('data', Buffer.from(rest, 'latin1'))
  }
  socket.on('data', read)
}

const CONNECT: JsonValue = { connect_matcher: {} }
const ends: JsonValue = [{ upgrade_type: 'CONNECT', connect_config: {} }]
// Envoy waits a second for each client to close, unless it is told.
const closed: { readonly [field: string]: JsonValue } = { http2_protocol_options: { allow_connect: true }, delayed_close_timeout: '0.1s' }
const allowed: { readonly [field: string]: JsonValue } = { ...closed, upgrade_configs: [{ upgrade_type: 'CONNECT' }] }
const http2Upstream = { typed_extension_protocol_options: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': { '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions', explicit_http_config: { http2_protocol_options: { allow_connect: true } } } } }

const host = (name: string, domain: string, routes: JsonValue): JsonValue => ({ name, domains: [domain], routes })
const hosts: JsonValue = [
  host('ends', 'ends.example:80', [{ match: CONNECT, route: { cluster: 'tcp', upgrade_configs: ends } }]),
  host('dead', 'dead.example:80', [{ match: CONNECT, route: { cluster: 'dead', upgrade_configs: ends } }]),
  host('forbidden', 'forbidden.example:80', [{ match: CONNECT, route: { cluster: 'tcp', upgrade_configs: [{ upgrade_type: 'CONNECT', enabled: false }] } }]),
  host('passes', 'passes.example:80', [{ match: CONNECT, route: { cluster: 'one' } }]),
  host('refused', 'refused.example:80', [{ match: CONNECT, route: { cluster: 'one' } }]),
  host('two', 'two.example:80', [{ match: CONNECT, route: { cluster: 'two' } }]),
  host('two-refused', 'two-refused.example:80', [{ match: CONNECT, route: { cluster: 'two' } }]),
  host('paths', 'paths.example:80', [{ match: { prefix: '/' }, route: { cluster: 'one' } }, { match: { prefix: '' }, route: { cluster: 'one' } }, { match: { safe_regex: { regex: '.*' } }, route: { cluster: 'one' } }]),
]

interface Said {
  readonly status: number
  readonly text: string
  readonly why: string | undefined
}

/** Asks for a tunnel on a stream, says one thing at a time, each when the answer to the one before has come, and ends. `abrupt`: resets the stream in place of that. */
function onStream(session: http2.ClientHttp2Session, authority: string, say: readonly string[], abrupt = false): Promise<Said & { reset: number }> {
  return new Promise((resolve) => {
    const stream = session.request({ ':method': 'CONNECT', ':authority': authority }, { endStream: false })
    let told: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader = {}
    let text = ''
    let at = 0
    const next = (): void => {
      const line = say[at++]
      if (line !== undefined) return void stream.write(line)
      if (abrupt) stream.close(http2.constants.NGHTTP2_CANCEL)
      else stream.end()
    }
    stream.on('response', (headers) => {
      told = headers
      if (headers[':status'] === 200) next()
      else stream.end()
    })
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (text.endsWith('\n')) next()
    })
    stream.on('end', () => stream.end())
    stream.on('error', () => undefined)
    stream.on('close', () => resolve({ status: told[':status'] ?? 0, text, why: told['x-why'] as string | undefined, reset: stream.rstCode }))
  })
}

/** The same on a connection of its own. */
async function overHttp2(t: TestContext, port: number, authority: string, say: readonly string[], abrupt = false): Promise<Said & { reset: number }> {
  const session = await connect(t, port)
  const said = await onStream(session, authority, say, abrupt)
  session.destroy()
  return said
}

function overHttp1(port: number, authority: string, say: readonly string[], early = ''): Promise<Said> {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => socket.write(`CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\n\r\n${early}`))
    let text = ''
    let at = 0
    const next = (): void => {
      const line = say[at++]
      if (line === undefined) socket.end()
      else socket.write(line)
    }
    socket.on('data', (chunk: Buffer) => {
      const before = text
      text += chunk.toString('latin1')
      const stands = text.includes('\r\n\r\n')
      if (stands && !before.includes('\r\n\r\n') && early === '') next()
      else if (text.endsWith('\n')) next()
    })
    socket.on('end', () => socket.end())
    socket.on('error', () => undefined)
    socket.on('close', () => resolve({ status: Number(text.split(' ')[1] ?? 0), text: text.slice(text.indexOf('\r\n\r\n') + 4), why: /x-why: (.*)\r/.exec(text)?.[1] }))
  })
}

async function world(t: TestContext) {
  const seen: string[] = []
  const [tcp, one, dead, two] = await Promise.all([
    netServer(t, echo, { allowHalfOpen: true }),
    netServer(t, granting(seen), { allowHalfOpen: true }),
    deadPort(),
    http2Server(t, (stream, headers) => {
      seen.push(`${headers[':method']} ${headers[':authority']} ${headers[':path'] ?? 'no path'} ${headers[':scheme'] ?? 'no scheme'}`)
      if (headers[':authority']?.includes('refused') === true) {
        stream.respond({ ':status': 403, 'x-why': 'none' })
        return void stream.end('no!')
      }
      stream.respond({ ':status': 200 })
      stream.on('data', (bytes: Buffer) => {
        const text = bytes.toString('latin1')
        if (text.includes('reset')) stream.close(http2.constants.NGHTTP2_CONNECT_ERROR)
        else if (text.includes('end')) stream.end(FAREWELL)
        else stream.write(text.toUpperCase())
      })
      stream.on('end', () => stream.end(FAREWELL))
    }),
  ])
  const twins = await startTwins(t, {
    listeners: [httpListener('allowed', hosts, allowed), httpListener('closed', hosts, closed)],
    clusters: [staticCluster('tcp', [tcp.port]), staticCluster('one', [one.port]), staticCluster('dead', [dead]), staticCluster('two', [two.port], http2Upstream)],
  })
  return { twins, seen }
}

test('tunnels end, go on and are refused as in a stock Envoy, over HTTP/2 and HTTP/1.1', async (t) => {
  const { twins, seen } = await world(t)
  const told: Record<string, string[]> = { envoy: [], weft: [] }
  for (const engine of [twins.envoy, twins.weft]) {
    /** On the page: who ends its side of a connection of HTTP/1.1 ends all of a tunnel through Envoy, and its streams may be reset behind the end. */
    const note = (name: string, said: Said & { reset?: number }, plain = false): void => {
      const { status, text, why, reset = 0 } = said
      if (engine.name === 'weft' && status === 200 && !name.includes('broken')) assert.deepEqual([text.endsWith(FAREWELL), reset], [true, 0], `${name}: ${JSON.stringify(said)}`)
      told[engine.name]?.push(JSON.stringify([name, status, plain ? text.replace(FAREWELL, '') : text, why, ...seen.splice(0)]))
    }
    for (const listener of ['allowed', 'closed']) {
      const port = engine.port(listener)
      for (const authority of ['ends', 'dead', 'forbidden', 'passes', 'refused', 'two', 'two-refused', 'paths', 'nobody']) {
        note(`${listener} HTTP/2 ${authority}`, await overHttp2(t, port, `${authority}.example:80`, ['one\n', 'two\n']), authority === 'passes')
        note(`${listener} HTTP/1.1 ${authority}`, await overHttp1(port, `${authority}.example:80`, ['one\n', 'two\n']), true)
      }
    }
    const port = engine.port('allowed')
    for (const authority of ['ends', 'passes', 'two']) {
      note(`HTTP/2 ${authority}, ended there`, await overHttp2(t, port, `${authority}.example:80`, ['one\n', 'end']))
      note(`HTTP/1.1 ${authority}, ended there`, await overHttp1(port, `${authority}.example:80`, ['one\n', 'end']))
      const broken = await overHttp2(t, port, `${authority}.example:80`, ['one\n', 'reset'])
      assert.notEqual(broken.reset, 0, engine.name)
      if (engine.name === 'weft') assert.equal(broken.reset, http2.constants.NGHTTP2_CONNECT_ERROR)
      note(`HTTP/2 ${authority}, broken there`, broken)
      note(`HTTP/1.1 ${authority}, broken there`, await overHttp1(port, `${authority}.example:80`, ['one\n', 'reset']))
      note(`HTTP/2 ${authority}, broken here`, await overHttp2(t, port, `${authority}.example:80`, ['one\n'], true))
      note(`HTTP/1.1 ${authority}, early`, await overHttp1(port, `${authority}.example:80`, ['two\n'], 'early\n'), true)
    }
    const session = await connect(t, port)
    const three = await Promise.all(['ends', 'two', 'ends'].map((authority) => onStream(session, `${authority}.example:80`, ['one\n', 'two\n'])))
    for (const one of three) note('one of three', one)
  }
  assert.deepEqual(told['weft'], told['envoy'])
  await until(() => twins.runtime.tunnels.size === 0 && twins.runtime.active.size === 0)
})

/** Serves what comes through a tunnel that a request by POST asked for, or a CONNECT over HTTP/2. */
function serveTunnel(seen: string[], head: string, refused: boolean, asked: NodeJS.ReadableStream, answer: { writeHead(status: number): unknown; write(text: string): unknown; end(text: string): unknown }, breaks: () => void): void {
  seen.push(head)
  if (refused) {
    answer.writeHead(403)
    return void answer.end('no!')
  }
  answer.writeHead(200)
  answer.write('hello\n')
  let over = false
  const end = (): void => {
    if (!over) answer.end(FAREWELL)
    over = true
  }
  asked.on('data', (bytes: Buffer) => {
    const text = bytes.toString('latin1')
    if (text.includes('reset')) breaks()
    else if (text.includes('end')) end()
    else answer.write(text.toUpperCase())
  })
  asked.on('end', end)
  asked.on('error', () => undefined)
}

/** Says one thing at a time over a connection, each when an answer to the one before has come, and ends. */
function overBytes(port: number, say: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    let text = ''
    let at = 0
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (!text.endsWith('\n')) return
      const line = say[at++]
      if (line === undefined) socket.end()
      else socket.write(line)
    })
    socket.on('end', () => socket.end())
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(text))
  })
}

/** A listener whose connections go to the cluster through a tunnel. */
const tunnelling = (name: string, cluster: string, hostname: string, usePost: boolean): JsonValue => ({
  name,
  address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
  filter_chains: [{ filters: [{ name: 'envoy.filters.network.tcp_proxy', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy', stat_prefix: name, cluster, tunneling_config: { hostname, use_post: usePost } } }] }],
})

const followsClients = { typed_extension_protocol_options: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': { '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions', use_downstream_protocol_config: { http_protocol_options: {}, http2_protocol_options: { allow_connect: true } } } } }

/** It bounds the answer to who asks for a tunnel as well, and a busy machine takes its time. */
const patient = { connect_timeout: '120s' }

test('tunnels that a connection needs are asked for as by a stock Envoy, by POST and CONNECT, over HTTP/1.1 and HTTP/2', async (t) => {
  const seen: string[] = []
  const one = http.createServer((request, response) => {
    const { host, 'transfer-encoding': coding, 'content-length': length } = request.headers
    serveTunnel(seen, `${request.method} ${request.url} ${host} ${coding} ${length}`, host?.includes('refused') === true, request, response, () => request.socket.destroy())
  })
  t.after(() => one.close().closeAllConnections())
  await new Promise<void>((ready) => one.listen(0, '127.0.0.1', ready))
  const address = one.address()
  const [two, dead] = await Promise.all([
    http2Server(t, (stream, headers) => {
      const answer = { writeHead: (status: number) => stream.respond({ ':status': status }), write: (text: string) => stream.write(text), end: (text: string) => stream.end(text) }
      serveTunnel(seen, `${headers[':method']} ${headers[':path']} ${headers[':authority']} ${headers[':scheme']} ${headers['content-length']}`, headers[':authority']?.includes('refused') === true, stream, answer, () => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR))
    }),
    deadPort(),
  ])
  const asked = ['one', 'two', 'follows', 'dead'].flatMap((cluster) => [true, false].filter((post) => post || cluster !== 'one').map((post): [string, string, boolean] => [`${post ? 'POST' : 'CONNECT'} ${cluster}`, cluster, post]))
  const twins = await startTwins(t, {
    listeners: asked.flatMap(([name, cluster, post]) => [tunnelling(name, cluster, 'db.example:5432', post), tunnelling(`${name}, refused`, cluster, 'refused.example:5432', post)]),
    clusters: [
      staticCluster('one', [typeof address === 'object' && address !== null ? address.port : 0], patient),
      staticCluster('two', [two.port], { ...http2Upstream, ...patient }),
      staticCluster('follows', [two.port], { ...followsClients, ...patient }),
      staticCluster('dead', [dead], { ...http2Upstream, ...patient }),
    ],
  })
  const told: Record<string, string[]> = { envoy: [], weft: [] }
  for (const engine of [twins.envoy, twins.weft]) {
    const tell = async (name: string, say: readonly string[], told: (text: string) => string = (text) => text): Promise<string> => JSON.stringify([name, say, told(await overBytes(engine.port(name), say)), ...seen.splice(0)])
    for (const [name] of asked) {
      // On the page: a tunnel by POST over HTTP/1.1 ends with the client's side in Envoy.
      told[engine.name]?.push(
        await tell(name, ['one\n', 'two\n'], (text) => (name === 'POST one' ? text.replace(FAREWELL, '') : text)),
        await tell(name, ['one\n', 'reset']),
        await tell(`${name}, refused`, []),
      )
      // And the end of its answer, coming first, is the end of all of Envoy.
      if (name !== 'POST one') told[engine.name]?.push(await tell(name, ['one\n', 'end']))
    }
  }
  assert.deepEqual(told['weft'], told['envoy'])
  for (const last of ['two\n', 'end']) assert.match(await overBytes(twins.weft.port('POST one'), ['one\n', last]), new RegExp(`${FAREWELL}$`))
  await until(() => twins.runtime.tunnels.size === 0)
})
