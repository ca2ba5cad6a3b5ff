import { join } from 'node:path'
import { ASKED, gatewayResources, HOSTS } from './gateway/config.ts'
import type { Bed, Subject } from './sidecar/bed.ts'
import { bootstrap, envoyCommand, onBed, WEFT, write } from './sidecar/bed.ts'
import { makeCertificates } from './sidecar/certificates.ts'
import { h2load, h2loadAnew, LOAD_CPU, ready, startOn, stop } from './sidecar/measure.ts'
import { readOptions } from './sidecar/options.ts'
import { peers } from './sidecar/peers.ts'
import { saturate } from './sidecar/saturation.ts'

const rows = ['keep-alive', 'handshake', 'resumed', 'http2'] as const
type Row = (typeof rows)[number]

const usage = `npm run bench -- gateway [options]
  --only keep-alive     rows: ${rows.join(', ')}
  --sizes 128,16384     bytes of an answer, of keep-alive and http2
  --rounds 5            subjects take turns; a ratio is of figures of one round, and what is printed the median
  --seconds 3           of each subject in each round
  --warmup 3            seconds before that
  --connections 64      of HTTP/2 an eighth, with eight streams each
  --weft-only           without peers
  --profile DIR         a .cpuprofile of each Weft process
  --json FILE           writes the figures`

const BACKEND = 21280

const words: Readonly<Record<Row, string>> = { 'keep-alive': 'HTTPS, kept-alive', handshake: 'HTTPS, a handshake per request', resumed: 'HTTPS, seven of eight requests resume a session', http2: 'HTTPS over HTTP/2' }

/**
 * What a gateway costs: HTTPS by SNI with TLS 1.3 and twenty hosts, connections kept, made anew for each request with a handshake in full or resumed, and HTTP/2; Weft beside Envoy on the same resources, and beside nginx and HAProxy.
 * The proxies have one core, load (h2load) and application another.
 */
export async function run(args: readonly string[]): Promise<void> {
  const options = readOptions(args, rows, usage)
  if (options === undefined) return
  const wants = (row: Row): boolean => options.only.length === 0 || options.only.includes(row)
  await onBed(options, ['h2load'], async (bed) => {
    const backend = startOn(LOAD_CPU, [process.execPath, join(import.meta.dirname, 'sidecar/backend.ts'), String(BACKEND)])
    try {
      await ready(BACKEND, '/b/128')
      const subjects = await gatewaySubjects(bed)
      for (const row of rows) {
        // A handshake costs so much more than an answer that its size hardly shows.
        for (const size of isAnew(row) ? options.sizes.slice(0, 1) : options.sizes) if (wants(row)) await saturateGateway(bed, row, size, subjects)
      }
    } finally {
      await stop(backend)
    }
  })
}

/** A connection for each request. */
const isAnew = (row: Row): boolean => row === 'handshake' || row === 'resumed'

async function gatewaySubjects(bed: Bed): Promise<Subject[]> {
  const { folder, envoy, node } = bed
  const certificates = makeCertificates(folder, Object.fromEntries(HOSTS.map((host) => [host, `DNS:${host}`])))
  const resources = gatewayResources(21202, BACKEND, join(folder, 'weft.log'), undefined)
  const named = Object.entries(certificates).map(([name, { certificate, key }]) => ({ name, certificate, key }))
  const weft: Subject = { name: 'weft', port: 21202, commands: [[...node, WEFT, write(folder, 'weft-gateway.json', { ...resources, gateway: true, certificates: named })]] }
  if (envoy === undefined) return [weft]
  const config = write(folder, 'envoy-gateway.json', bootstrap('gateway', gatewayResources(21201, BACKEND, join(folder, 'envoy.log'), certificates)))
  return [{ name: 'envoy', port: 21201, commands: [envoyCommand(envoy, config, 1)] }, ...(await peers(bed, 21203, BACKEND, certificates)), weft]
}

function saturateGateway(bed: Bed, row: Row, size: number, subjects: readonly Subject[]): Promise<void> {
  const { connections } = bed.options
  const path = `/b/${size}`
  const url = (port: number): string => `https://${ASKED}:${port}${path}`
  const to = (port: number): string => `--connect-to=127.0.0.1:${port}`
  const parameters = row === 'http2' ? [`-c${Math.max(1, connections >> 3)}`, '-m8'] : [`-c${connections}`, '--h1']
  return saturate(bed, `${words[row]}, ${size} B`, subjects, {
    unit: 'request',
    ready: (port) => ready(port, path, { host: ASKED }),
    load: (port, seconds) => (isAnew(row) ? h2loadAnew(url(port), seconds, connections, row === 'handshake' ? 1 : 8, [to(port)]) : h2load(url(port), seconds, [...parameters, to(port)])),
  })
}
