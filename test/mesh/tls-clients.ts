import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import tls from 'node:tls'
import type { Call } from './shop.ts'

/** Clients that a server of TLS is to turn away, and what they see of it. */

/** `handshake with NAME` where one came about, else why none did. */
export const handshake = (port: number, serverName: string): Promise<string> =>
  new Promise((resolve) => {
    const socket = tls.connect({ host: '127.0.0.1', port, servername: serverName, rejectUnauthorized: false }, () => {
      resolve(`handshake with ${socket.getPeerCertificate().subject?.CN}`)
      socket.destroy()
    })
    socket.on('error', (error) => resolve(error.message))
    socket.on('close', () => resolve('closed'))
  })

/** `answered: STATUS LINE` to a GET, or `refused: WHY`: by TLS 1.3 a client may have sent its request before it learns that its certificate is not taken. */
export function askOverTls(to: string, call: Call, material: tls.ConnectionOptions): Promise<string> {
  const [host = '', port = ''] = to.split(':')
  return new Promise((resolve) => {
    const socket = tls.connect({ host, port: Number(port), rejectUnauthorized: false, ALPNProtocols: ['istio-http/1.1', 'istio', 'http/1.1'], ...material }, () => {
      socket.write(`GET ${call.path} HTTP/1.1\r\nHost: ${call.host}\r\n\r\n`)
    })
    socket.on('data', (chunk) => resolve(`answered: ${chunk.toString().split('\r\n')[0]}`))
    socket.on('error', (error) => resolve(`refused: ${error.message}`))
    socket.on('close', () => resolve('refused: closed'))
  })
}

/** A well-formed mesh certificate that no root of this mesh signed. */
export function strangerCertificate(dir: string): { key: Buffer; cert: Buffer } {
  const key = path.join(dir, 'stranger.key')
  const cert = path.join(dir, 'stranger.pem')
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1', '-subj', '/', '-addext', 'subjectAltName=critical,URI:spiffe://cluster.local/ns/prod/sa/order-service', '-keyout', key, '-out', cert],
    { stdio: 'ignore' },
  )
  return { key: readFileSync(key), cert: readFileSync(cert) }
}
