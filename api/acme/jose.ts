import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'

/** An account's key (P-256), and what the authority knows of it. */
export interface AccountKey {
  readonly privateKey: KeyObject
  /** RFC 7517, the required members in their order, as RFC 7638 §3 hashes them. */
  readonly jwk: { readonly crv: string; readonly kty: string; readonly x: string; readonly y: string }
}

export const makeAccountKey = (): string => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

/** @throws Error when the PEM is no P-256 key */
export function readAccountKey(pem: string): AccountKey {
  const privateKey = createPrivateKey(pem)
  const { crv, kty, x, y } = createPublicKey(privateKey).export({ format: 'jwk' })
  if (crv !== 'P-256' || kty !== 'EC' || x === undefined || y === undefined) throw new Error('an ACME account key is a P-256 key')
  return { privateKey, jwk: { crv, kty, x, y } }
}

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** RFC 8555 §6.2: a flattened JWS with ES256. An absent payload is POST-as-GET; an absent `kid` shows the key itself. */
export function signed(key: AccountKey, about: { readonly url: string; readonly nonce: string; readonly kid: string | undefined }, payload: object | undefined): string {
  const { url, nonce, kid } = about
  const head = encoded({ alg: 'ES256', nonce, url, ...(kid === undefined ? { jwk: key.jwk } : { kid }) })
  const body = payload === undefined ? '' : encoded(payload)
  const signature = sign('sha256', Buffer.from(`${head}.${body}`), { key: key.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')
  return JSON.stringify({ protected: head, payload: body, signature })
}

/** RFC 8555 §8.1: what proves, at the place that a token names, that the account is meant. */
export const keyAuthorization = (key: AccountKey, token: string): string => `${token}.${createHash('sha256').update(JSON.stringify(key.jwk)).digest('base64url')}`
