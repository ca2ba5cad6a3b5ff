import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import http from 'node:http'
import type { TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'
import { installCrane } from '#infra/parts/crane.ts'
import { httpServer } from '#proxy/testing/peers.ts'
import { until } from '../mesh/shop.ts'

/** Who may pull, and how a registry finds that out. */
export type Entry = 'open' | 'basic' | 'bearer' | 'nobody' | 'broken'

/** A registry (go-containerregistry's) behind a door that asks who is there. */
export interface RegistryUnderTest {
  /** `127.0.0.1:PORT` */
  readonly host: string
  entry: Entry
  /** Layers are had from another server, as from clouds' stores. */
  redirects: boolean
  /** `GET PATH` of all that was asked. */
  readonly asked: string[]
  /** What the other server was shown of who asks. */
  readonly shownToStore: string[]
  /** A dockerconfigjson with the credentials that it takes, or with others. */
  pullSecret(password?: string): string
  /** Content by its digest; answers the digest. */
  blob(repository: string, bytes: Buffer): Promise<string>
  manifest(repository: string, reference: string, mediaType: string, document: object): Promise<string>
}

export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json'
export const MODULE_LAYER = 'application/vnd.module.wasm.content.layer.v1+wasm'
export const OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'
export const DOCKER_LAYER = 'application/vnd.docker.image.rootfs.diff.tar.gzip'

const USER = 'puller'
const PASSWORD = 'let-me-pull-7f3a'
const TOKEN = 'a-token-for-those-who-may-pull'

export const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

export async function startRegistry(t: TestContext): Promise<RegistryUnderTest> {
  const child = spawn(await installCrane(), ['registry', 'serve', '--address', '127.0.0.1:0'], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (text: Buffer) => (said += text.toString()))
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((ended) => child.once('exit', ended))
    child.kill('SIGKILL')
    await gone
  })
  await until('the registry serves', () => /serving on port \d+/.test(said))
  const behind = Number(/serving on port (\d+)/.exec(said)?.[1])

  const pass = (request: http.IncomingMessage, response: http.ServerResponse): void => {
    const { authorization: _, host: __, ...headers } = request.headers
    request.pipe(
      http.request({ host: '127.0.0.1', port: behind, method: request.method, path: request.url, headers, agent: false }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(response)
      }).on('error', () => response.destroy()),
    )
  }
  const store = await httpServer(t, (request, response) => {
    registry.shownToStore.push(request.headers.authorization ?? 'nobody')
    pass(request, response)
  })
  const basic = `Basic ${Buffer.from(`${USER}:${PASSWORD}`).toString('base64')}`
  const front = await httpServer(t, (request, response) => {
    const { url = '', headers } = request
    registry.asked.push(`${request.method} ${url}`)
    if (registry.entry === 'broken') return response.writeHead(503).end()
    if (url.startsWith('/token?')) return headers.authorization === basic ? response.end(JSON.stringify({ token: TOKEN })) : response.writeHead(401).end()
    const challenge = registry.entry === 'basic' ? 'Basic realm="images"' : `Bearer realm="http://127.0.0.1:${front.port}/token",service="images, and more",scope="repository:any:pull"`
    const wanted = registry.entry === 'basic' ? basic : registry.entry === 'bearer' ? `Bearer ${TOKEN}` : undefined
    if (registry.entry === 'nobody' || (wanted !== undefined && headers.authorization !== wanted)) return response.writeHead(401, { 'www-authenticate': challenge }).end()
    if (registry.redirects && url.includes('/blobs/')) return response.writeHead(307, { location: `http://127.0.0.1:${store.port}${url}` }).end()
    pass(request, response)
  })
  const send = async (method: string, path: string, body: Buffer | string | undefined, type: string): Promise<Response> => {
    const response = await fetch(`http://127.0.0.1:${behind}${path}`, { method, headers: { 'content-type': type }, ...(body === undefined ? {} : { body: typeof body === 'string' ? body : new Uint8Array(body) }) })
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
    return response
  }
  const registry: RegistryUnderTest = {
    host: `127.0.0.1:${front.port}`,
    entry: 'open',
    redirects: false,
    asked: [],
    shownToStore: [],
    pullSecret: (password = PASSWORD) => JSON.stringify({ auths: { 'other.example': { username: 'a', password: 'b' }, [`http://127.0.0.1:${front.port}/v1/`]: { auth: Buffer.from(`${USER}:${password}`).toString('base64') } } }),
    async blob(repository, bytes) {
      const digest = digestOf(bytes)
      const begun = await send('POST', `/v2/${repository}/blobs/uploads/`, undefined, 'application/octet-stream')
      await send('PUT', `${new URL(begun.headers.get('location') ?? '', 'http://any').pathname}?digest=${digest}`, bytes, 'application/octet-stream')
      return digest
    },
    async manifest(repository, reference, mediaType, document) {
      const text = JSON.stringify(document)
      await send('PUT', `/v2/${repository}/manifests/${reference}`, text, mediaType)
      return digestOf(Buffer.from(text))
    },
  }
  return registry
}

/** A tar archive of files, zipped. */
export function archiveOf(files: Readonly<Record<string, Buffer>>): Buffer {
  const blocks = Object.entries(files).flatMap(([name, bytes]) => {
    const head = Buffer.alloc(512)
    head.write(name, 0, 'latin1')
    head.write('0000644\0', 100, 'latin1')
    head.write(`${bytes.length.toString(8).padStart(11, '0')}\0`, 124, 'latin1')
    head.write('        0', 148, 'latin1')
    head.write('ustar\x0000', 257, 'latin1')
    head.write(`${head.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
    return [head, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]
  })
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(1024)]))
}

/** Pushes a module in one of the forms that images of modules have; answers the manifest's digest. */
export async function pushModule(registry: RegistryUnderTest, repository: string, tag: string, module: Buffer, form: 'artifact' | 'oci' | 'docker' = 'artifact'): Promise<string> {
  const config = Buffer.from('{}')
  const configDigest = await registry.blob(repository, config)
  const layer = form === 'artifact' ? module : archiveOf({ 'runtime-config.json': Buffer.from('{}'), './plugin.wasm': module })
  const digest = await registry.blob(repository, layer)
  const layers = [{ mediaType: form === 'artifact' ? MODULE_LAYER : form === 'oci' ? OCI_LAYER : DOCKER_LAYER, digest, size: layer.length }]
  const mediaType = form === 'docker' ? DOCKER_MANIFEST : OCI_MANIFEST
  return registry.manifest(repository, tag, mediaType, { schemaVersion: 2, mediaType, config: { mediaType: 'application/vnd.module.wasm.config.v1+json', digest: configDigest, size: config.length }, layers })
}
