import { CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, WITH_PRIORITY } from '#proxy/http/h2/frames.ts'
import { data, type Fields, frame, headers, headersInTwo, hello, section } from './raw-http2.ts'

/**
 * Requests of HTTP/2 that become other requests, or more of them, where a careless proxy writes them down for a server of HTTP/1.1; made from RFC 9113 §8, RFC 8441 and RFC 7541.
 * What must never reach a server asks for a path that begins with `/never`, and what would be a header that nobody sent is named `x-injected`.
 */
export interface Http2Attack {
  readonly name: string
  readonly bytes: Buffer
}

const HIDDEN = 'GET /smuggled HTTP/1.1\r\nHost: a\r\nx-injected: 1\r\n\r\n'
const INJECTED = '\r\nx-injected: 1'

interface Parts {
  readonly method?: string
  readonly scheme?: string
  readonly authority?: string
  readonly path?: string
}

/** The four pseudo-fields; one that is empty is left out where `without` names it. */
function asks({ method = 'POST', scheme = 'http', authority = 'a', path = '/never' }: Parts, ...more: Fields): Fields {
  return [[':method', method], [':scheme', scheme], [':authority', authority], [':path', path], ...more]
}

const GET = { method: 'GET' }
/** What may reach a server as it is, or be refused. */
const odd = (...more: Fields): Fields => asks({ path: '/attack' }, ...more)

/** §8.1.1: lengths that are not those of the data. */
function lengths(): Http2Attack[] {
  const length = String(HIDDEN.length)
  const framed = (name: string, fields: Fields, ...frames: Buffer[]): Http2Attack => ({ name: `a length: ${name}`, bytes: Buffer.concat([headers(1, fields, false), ...frames]) })
  return [
    framed('none, and a request for data', odd(), data(1, HIDDEN)),
    framed('0, and a request for data', odd(['content-length', '0']), data(1, HIDDEN)),
    framed('too short', odd(['content-length', '4']), data(1, `aaaa${HIDDEN}`)),
    framed('too short, in two frames', odd(['content-length', '4']), data(1, 'aaaa', false), data(1, HIDDEN)),
    framed('too long', odd(['content-length', '1000']), data(1, HIDDEN)),
    framed('too long, ended by trailers', odd(['content-length', '1000']), data(1, HIDDEN, false), headers(1, [['x-trailer', '1']])),
    framed('too long, and reset', odd(['content-length', '1000']), data(1, HIDDEN, false), frame(RST_STREAM, 0, 1, '\0\0\0\x08')),
    framed('the last chunk for data', odd(), data(1, `0\r\n\r\n${HIDDEN}`)),
    framed('with Expect', odd(['content-length', length], ['expect', '100-continue']), data(1, HIDDEN)),
    { name: 'a length: some, and the end', bytes: headers(1, asks({}, ['content-length', '5'])) },
    ...['+5', '-5', '5,5', '5, 5', '0x5', '5 ', ' 5', '5.0', '5e0', '', 'a', '99999999999999999999', '5;', '5\r\n', `5${INJECTED}`, '5\0'].map((value) =>
      framed(JSON.stringify(value), asks({}, ['content-length', value]), data(1, 'hello')),
    ),
    framed('twice', asks({}, ['content-length', '5'], ['content-length', '5']), data(1, 'hello')),
    framed('two', asks({}, ['content-length', '5'], ['content-length', '50']), data(1, 'hello')),
    framed('of GET', asks({ method: 'GET', path: '/attack' }, ['content-length', length]), data(1, HIDDEN)),
    framed('of HEAD', asks({ method: 'HEAD', path: '/attack' }, ['content-length', length]), data(1, HIDDEN)),
    framed('none, of GET', asks({ method: 'GET', path: '/attack' }), data(1, HIDDEN)),
  ]
}

/** §8.2: fields that must not be there, and bytes that must not be in them. */
function fields(): Http2Attack[] {
  const bad: Fields = [
    ['transfer-encoding', 'chunked'], ['transfer-encoding', 'identity'], ['transfer-encoding', ''], ['Transfer-Encoding', 'chunked'], ['transfer-encoding ', 'chunked'], [' transfer-encoding', 'chunked'], ['transfer-encoding\t', 'chunked'],
    ['transfer-encoding:', 'chunked'], ['transfer-encoding: chunked\r\nx', '1'], ['x: 1\r\ntransfer-encoding', 'chunked'], ['x\ntransfer-encoding', 'chunked'], ['transfer-encoding\0', 'chunked'], ['transfer-encodin\xc7', 'chunked'],
    ['connection', 'close'], ['connection', 'transfer-encoding'], ['connection', 'x-forwarded-for'], ['keep-alive', 'timeout=5'], ['proxy-connection', 'keep-alive'], ['upgrade', 'h2c'], ['upgrade', 'websocket'], ['te', 'chunked'], ['te', 'trailers, chunked'], ['te', 'gzip'],
    ['', 'x'], ['x y', '1'], ['X-Upper', '1'], ['x:y', '1'], ['x\r', '1'], ['x\x7f', '1'], ['x\xe4', '1'], ['x"', '1'], ['x(', '1'],
    ['x', `1${INJECTED}`], ['x', `1\n x-injected: 1`], ['x', '1\nx-injected: 1'], ['x', '1\rx-injected: 1'], ['x', `1\r\n\r\n${HIDDEN}`], ['x', '1\x002'], ['x', '\n'], ['x', '\r'], ['x', ' 1'], ['x', '1 '], ['x', '\t1'], ['x', '1\x01'], ['x', '1\x7f'],
    ['cookie', `a=1${INJECTED}`], ['x-forwarded-for', `192.0.2.1${INJECTED}`], ['x-request-id', `1${INJECTED}`], ['user-agent', '\0'], ['host', `a${INJECTED}`], ['host', 'a\n'],
  ]
  const one = (name: string, value: string, ends: boolean): Http2Attack => {
    const line = headers(1, asks(ends ? GET : {}, [name, value]), ends)
    return { name: `a field: ${JSON.stringify(name)} ${JSON.stringify(value)}${ends ? '' : ', and data'}`, bytes: ends ? line : Buffer.concat([line, data(1, `0\r\n\r\n${HIDDEN}`)]) }
  }
  return [
    ...bad.flatMap(([name, value]) => [one(name, value, true), one(name, value, false)]),
    { name: 'a field: an offer of h2c', bytes: headers(1, odd(['http2-settings', 'AAMAAABkAAQAAP__'])) },
    { name: 'a field: what only proxies say', bytes: headers(1, odd(['x-envoy-original-path', '/smuggled'], ['x-envoy-peer-metadata-id', 'forged'], ['x-envoy-peer-metadata', 'forged'])) },
    { name: 'a field: a crumb with a separator', bytes: headers(1, odd(['cookie', 'a=1;'], ['cookie', '; b=2'])) },
  ]
}

/** §8.3: what says what is asked for. */
function pseudoFields(): Http2Attack[] {
  const one = (name: string, all: Fields): Http2Attack => ({ name: `pseudo-fields: ${name}`, bytes: headers(1, all) })
  const [method, scheme, authority, path] = asks(GET)
  if (method === undefined || scheme === undefined || authority === undefined || path === undefined) return []
  const four: Fields = [method, scheme, authority, path]
  return [
    ...four.map((again) => one(`${again[0]} twice`, [...four, again])),
    ...four.map(([name]) => one(`${name} and another`, [...four, [name, name === ':path' ? '/never-2' : name === ':method' ? 'POST' : name === ':scheme' ? 'https' : 'b']])),
    ...four.map(([name]) => one(`an empty ${name} before it`, [[name, ''], ...four])),
    ...four.map(([name]) => one(`an empty ${name} behind it`, [...four, [name, '']])),
    ...four.filter(([name]) => name !== ':authority').map(([missing]) => one(`no ${missing}`, four.filter(([name]) => name !== missing))),
    ...four.filter(([name]) => name !== ':authority').map(([empty]) => one(`an empty ${empty}`, four.map(([name, value]) => [name, name === empty ? '' : value]))),
    ...four.map((late) => one(`${late[0]} behind a field`, [...four.filter((other) => other !== late), ['x-first', '1'], late])),
    one('neither authority nor host', [method, scheme, path]),
    one('an empty authority', [method, scheme, [':authority', ''], path]),
    one('one that nobody knows', [...four, [':unknown', '1']]),
    one('of an answer', [...four, [':status', '200']]),
    one('in upper case', [...four.filter((other) => other !== method), [':METHOD', 'GET']]),
    one('a colon alone', [...four, [':', '1']]),
    one('a protocol without CONNECT', [...four, [':protocol', 'websocket']]),
    ...['GET ', ' GET', 'G T', 'GET\t', 'GET\r\n', `GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\nGET`, 'GET /smuggled HTTP/1.1', 'G\0T', 'GET\x7f', 'G:T', 'GÄT'].map((value) => one(`:method ${JSON.stringify(value)}`, asks({ method: value }))),
    ...[
      '/never x', '/never\tx', '/never\r\nx', `/never HTTP/1.1${INJECTED}\r\n\r\n`, `/never HTTP/1.1\r\nHost: a\r\n\r\n${HIDDEN}`, '/never\0', '/never\x7f', '/never\n', '/never#x', 'never', 'http://b/never', '*', '?never', '\\never', '/never\x01', ' /never', '/never ',
    ].map((value) => one(`:path ${JSON.stringify(value)}`, asks({ method: 'GET', path: value }))),
    ...['a b', `a${INJECTED}`, 'a\r\n\r\n', 'a\0', 'a/never', 'a@b', 'u:p@a', 'a#b', 'a?b', 'a\\b', 'a,b', '[::1', 'a:80:90', 'a:x', ' a', 'a ', 'a\t', 'a:99999999'].map((value) => one(`:authority ${JSON.stringify(value)}`, asks({ method: 'GET', authority: value }))),
    ...[`http${INJECTED}`, 'http://b/never?', 'ht tp', 'http\0', 'http\n'].map((value) => one(`:scheme ${JSON.stringify(value)}`, asks({ method: 'GET', path: /[^ -~]/.test(value) ? '/never' : '/attack', scheme: value }))),
    one('host that differs', asks(GET, ['host', 'b'])),
    one('two hosts', [method, scheme, path, ['host', 'a'], ['host', 'b']]),
    one('two hosts beside the authority', asks(GET, ['host', 'a'], ['host', 'b'])),
    one('host alone', asks({ method: 'GET', path: '/attack' }).filter(([name]) => name !== ':authority').concat([['host', 'a']])),
    one('host alike', asks({ method: 'GET', path: '/attack' }, ['host', 'a'])),
  ]
}

/** §8.1: what comes behind the data, or behind the end. */
function ends(): Http2Attack[] {
  const begun = (...more: Buffer[]): Buffer => Buffer.concat([headers(1, odd(), false), data(1, 'hello', false), ...more])
  const one = (name: string, bytes: Buffer): Http2Attack => ({ name: `an end: ${name}`, bytes })
  return [
    ...([
      ['content-length', '40'], ['transfer-encoding', 'chunked'], ['host', 'evil'], ['connection', 'close'], ['te', 'trailers'], ['trailer', 'x'], ['authorization', 'Basic eDp5'], ['proxy-authorization', 'Basic eDp5'], ['cookie', 'a=1'], ['set-cookie', 'a=1'], ['content-type', 'x/y'], ['expect', '100-continue'],
      [':path', '/never'], [':status', '200'], ['X-Upper', '1'], ['x', `1${INJECTED}`], [`x: 1${INJECTED}`, '1'], ['x', `1\r\n\r\n${HIDDEN}`], ['', '1'],
    ] as const).map((field) => one(`a trailer ${JSON.stringify(field)}`, begun(headers(1, [field])))),
    one('an empty section of trailers', begun(headers(1, []))),
    one('trailers that do not end', begun(headers(1, [['x', '1']], false))),
    one('trailers, and data', begun(headers(1, [['x', '1']]), data(1, HIDDEN))),
    one('trailers that do not end, and data', begun(headers(1, [['x', '1']], false), data(1, HIDDEN))),
    one('trailers twice', begun(headers(1, [['x', '1']]), headers(1, [['x', '2']]))),
    one('another request for trailers', begun(headers(1, asks({})))),
    one('data behind the end', Buffer.concat([headers(1, odd()), data(1, HIDDEN)])),
    one('data behind a reset', begun(frame(RST_STREAM, 0, 1, '\0\0\0\x08'), data(1, HIDDEN))),
    one('data of nobody', data(1, HIDDEN)),
    one('empty data without end', begun(data(1, '', false), data(1, '', false), data(1, HIDDEN))),
    one('padding alone', begun(frame(DATA, PADDED | END_STREAM, 1, `\x04\0\0\0\0`))),
    one('padding that is another request', begun(frame(DATA, PADDED | END_STREAM, 1, Buffer.from(`${String.fromCharCode(HIDDEN.length)}${HIDDEN}`, 'latin1')))),
    one('padding that is too long', begun(frame(DATA, PADDED | END_STREAM, 1, `\xff${HIDDEN}`))),
    one('none', begun()),
  ]
}

/** §8.5, RFC 8441: CONNECT. */
function connects(): Http2Attack[] {
  const one = (name: string, all: Fields, body: string | undefined = HIDDEN): Http2Attack => ({ name: `CONNECT: ${name}`, bytes: body === undefined ? headers(1, all) : Buffer.concat([headers(1, all, false), data(1, body, false)]) })
  const CONNECT = [':method', 'CONNECT'] as const
  const extended = (protocol: string, path: string, ...more: Fields): Fields => [CONNECT, [':protocol', protocol], [':scheme', 'http'], [':authority', 'a'], [':path', path], ...more]
  return [
    one('plain', [CONNECT, [':authority', 'a:80']]),
    one('plain, to an address', [CONNECT, [':authority', '127.0.0.1:22']]),
    one('plain, with a path', [CONNECT, [':authority', 'a:80'], [':path', '/never']]),
    one('plain, with a scheme', [CONNECT, [':authority', 'a:80'], [':scheme', 'http']]),
    one('with all', asks({ method: 'CONNECT' })),
    one('without an authority', [CONNECT]),
    one('with a line in the authority', [CONNECT, [':authority', `a:80 HTTP/1.1${INJECTED}`]]),
    one('with a length', [CONNECT, [':authority', 'a:80'], ['content-length', '5']]),
    one('with the length of what follows', [CONNECT, [':authority', 'a:80'], ['content-length', String(HIDDEN.length)]]),
    one('with a length of nothing', [CONNECT, [':authority', 'a:80'], ['content-length', '0']]),
    one('ended at once', [CONNECT, [':authority', 'a:80']], undefined),
    one('with an empty path', [CONNECT, [':authority', 'a:80'], [':path', '']]),
    one('with an empty scheme', [CONNECT, [':scheme', ''], [':authority', 'a:80']]),
    one('with a host beside it', [CONNECT, [':authority', 'a:80'], ['host', 'b:80']]),
    one('with a host alone', [CONNECT, ['host', 'a:80']]),
    one('with an expectation', [CONNECT, [':authority', 'a:80'], ['expect', '100-continue']]),
    one('with an upgrade', [CONNECT, [':authority', 'a:80'], ['upgrade', 'websocket'], ['connection', 'upgrade']]),
    one('to a path', [CONNECT, [':authority', '/never']]),
    one('to an address with a path', [CONNECT, [':authority', 'http://a/never']]),
    { name: 'CONNECT: with trailers', bytes: Buffer.concat([headers(1, [CONNECT, [':authority', 'a:80']], false), data(1, HIDDEN, false), headers(1, [['x-trailer', '1']])]) },
    { name: 'CONNECT: and another request on its stream', bytes: Buffer.concat([headers(1, [CONNECT, [':authority', 'a:80']], false), headers(1, asks({}))]) },
    { name: 'CONNECT: and reset', bytes: Buffer.concat([headers(1, [CONNECT, [':authority', 'a:80']], false), data(1, HIDDEN, false), frame(RST_STREAM, 0, 1, '\0\0\0\x08')]) },
    one('in lower case', [[':method', 'connect'], [':authority', 'a:80']]),
    ...['h2c', 'H2C', 'h2C', 'HTTP/1.1', 'connect-udp', 'tls'].map((protocol) => one(`to speak ${protocol}`, extended(protocol, '/attack', ['http2-settings', 'AAMAAABkAAQAAP__']))),
    ...['h2c, websocket', 'websocket ', `websocket${INJECTED}`, 'web socket', '', 'websocket\0'].map((protocol) => one(`to speak ${JSON.stringify(protocol)}`, extended(protocol, '/never'))),
    one('to speak websocket, which the server does not', extended('websocket', '/attack', ['sec-websocket-version', '999'])),
    one('to speak websocket, with a length', extended('websocket', '/never', ['content-length', String(HIDDEN.length)])),
    one('to speak websocket, ended at once', extended('websocket', '/attack'), undefined),
    one('to speak websocket, with the key of another', extended('websocket', '/attack', ['sec-websocket-key', 'AAAAAAAAAAAAAAAAAAAAAA=='], ['sec-websocket-version', '13'])),
    one('to speak two', extended('websocket', '/never', [':protocol', 'h2c'])),
  ]
}

/** §4–§6, RFC 7541: frames and field sections that are none. */
function frames(): Http2Attack[] {
  const good = section(asks({ method: 'GET', path: '/attack' }))
  const never = section(asks(GET))
  const one = (name: string, ...parts: Buffer[]): Http2Attack => ({ name: `frames: ${name}`, bytes: Buffer.concat(parts) })
  return [
    one('an even stream', frame(HEADERS, END_HEADERS | END_STREAM, 2, never)),
    one('stream 0', frame(HEADERS, END_HEADERS | END_STREAM, 0, never)),
    one('a stream twice', headers(1, odd()), frame(HEADERS, END_HEADERS | END_STREAM, 1, never)),
    one('a stream below the last', headers(3, odd()), frame(HEADERS, END_HEADERS | END_STREAM, 1, never)),
    one('a section in two', headersInTwo(1, odd())),
    one('a section with a PING within', headersInTwo(1, asks(GET), frame(PING, 0, 0, '12345678'))),
    one('a section with data within', headersInTwo(1, asks(GET), data(1, HIDDEN))),
    one('a section with another request within', headersInTwo(1, asks(GET), headers(3, asks(GET)))),
    one('a continuation of nothing', frame(CONTINUATION, END_HEADERS, 1, never)),
    one('a continuation of another stream', frame(HEADERS, END_STREAM, 1, never), frame(CONTINUATION, END_HEADERS, 3, never)),
    one('padding longer than the frame', frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, Buffer.concat([Buffer.from([255]), never]))),
    one('padding that is another section', frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, Buffer.concat([Buffer.from([never.length]), good, never]))),
    one('a stream that depends on itself', frame(HEADERS, END_HEADERS | END_STREAM | WITH_PRIORITY, 1, Buffer.concat([Buffer.from([0, 0, 0, 1, 16]), good]))),
    one('PRIORITY of the wrong length', frame(PRIORITY, 0, 1, '123'), headers(3, odd())),
    one('a type that nobody knows', frame(0xfa, 0xff, 1, HIDDEN), headers(1, odd())),
    one('a frame that is too large', frame(DATA, END_STREAM, 1, Buffer.alloc(20_000, HIDDEN))),
    one('a section that is too large', ...Array.from({ length: 8 }, (_, at) => frame(at === 0 ? HEADERS : CONTINUATION, at === 7 ? END_HEADERS : 0, 1, Buffer.alloc(16_000)))),
    one('a window that overflows', headers(1, odd(), false), frame(WINDOW_UPDATE, 0, 1, '\x7f\xff\xff\xff')),
    one('a window of nothing', headers(1, odd(), false), frame(WINDOW_UPDATE, 0, 1, '\0\0\0\0')),
    one('a window that overflows, of all', frame(WINDOW_UPDATE, 0, 0, '\x7f\xff\xff\xff'), headers(1, asks(GET))),
    one('a promise', frame(PUSH_PROMISE, END_HEADERS, 1, Buffer.concat([Buffer.from([0, 0, 0, 2]), never]))),
    one('a reset of nobody', frame(RST_STREAM, 0, 1, '\0\0\0\x08'), headers(1, asks(GET))),
    one('settings of the wrong length', frame(SETTINGS, 0, 0, '12345'), headers(1, asks(GET))),
    one('settings of a stream', frame(SETTINGS, 0, 1), headers(1, asks(GET))),
    one('settings without a table or windows', frame(SETTINGS, 0, 0, '\0\x01\0\0\0\0\0\x04\0\0\0\0'), headers(1, odd())),
    one('a goodbye, and a request', frame(GOAWAY, 0, 0, '\0\0\0\0\0\0\0\0'), headers(1, odd())),
    one('a request, and half of another', headers(1, odd()), headers(3, asks(GET)).subarray(0, 20)),
    one('requests and resets', ...Array.from({ length: 20 }, (_, at) => Buffer.concat([headers(2 * at + 1, odd(), false), data(2 * at + 1, HIDDEN, false), frame(RST_STREAM, 0, 2 * at + 1, '\0\0\0\x08')]))),
    one('an index of nothing', frame(HEADERS, END_HEADERS | END_STREAM, 1, Buffer.concat([never, Buffer.from([0x80])]))),
    one('an index beyond the table', frame(HEADERS, END_HEADERS | END_STREAM, 1, Buffer.concat([never, Buffer.from([0xff, 0xff, 0xff, 0x7f])]))),
    one('an integer without end', frame(HEADERS, END_HEADERS | END_STREAM, 1, Buffer.concat([never, Buffer.alloc(64, 0xff)]))),
    one('a string beyond the section', frame(HEADERS, END_HEADERS | END_STREAM, 1, Buffer.concat([never, Buffer.from([0, 1, 0x78, 0x7e, 0x61])]))),
    one('a table of any size', frame(HEADERS, END_HEADERS | END_STREAM, 1, Buffer.concat([Buffer.from([0x3f, 0xff, 0xff, 0xff, 0x07]), never]))),
    one('a table resized in the middle', frame(HEADERS, END_HEADERS | END_STREAM, 1, Buffer.concat([never, Buffer.from([0x20])]))),
    one('padding of Huffman codes that is too long', frame(HEADERS, END_HEADERS | END_STREAM, 1, Buffer.concat([never, Buffer.from([0, 1, 0x78, 0x82, 0xff, 0xff])]))),
    // 4000 bytes that the table keeps, named 4000 times: 16 MB of fields in a few kilobytes.
    one('a bomb', frame(HEADERS, END_HEADERS | END_STREAM, 1, Buffer.concat([never, Buffer.from([0x40, 1, 0x78, 127, 0xa1, 0x1e]), Buffer.alloc(4000, 0x61), Buffer.alloc(4000, 0xbe)]))),
  ]
}

const begun = ({ name, bytes }: Http2Attack): Http2Attack => ({ name, bytes: Buffer.concat([hello, bytes]) })

export const http2Corpus = (): Http2Attack[] => [...lengths(), ...fields(), ...pseudoFields(), ...ends(), ...connects(), ...frames()].map(begun)

/** Those that ask for tunnels. */
export const http2Connects = (): Http2Attack[] => connects().map(begun)
