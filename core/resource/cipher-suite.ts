/** Cipher suites of TLS 1.2 and below that Envoy's TLS library has, by their OpenSSL names. */
const CIPHER_SUITES: ReadonlySet<string> = new Set([
  ...['ECDHE-ECDSA', 'ECDHE-RSA'].flatMap((exchange) => ['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305', 'AES128-SHA', 'AES256-SHA'].map((cipher) => `${exchange}-${cipher}`)),
  'AES128-GCM-SHA256',
  'AES256-GCM-SHA384',
  'AES128-SHA',
  'AES256-SHA',
  'DES-CBC3-SHA',
])

/** Whether an entry of `cipherSuites` has an effect: a suite, ALL, or an operator before one (`-`, `+`, `!`, a group in brackets). */
export const isCipherSuite = (text: string): boolean => text === '' || text === 'ALL' || !/^[\p{L}\p{N}]/u.test(text) || CIPHER_SUITES.has(text)
