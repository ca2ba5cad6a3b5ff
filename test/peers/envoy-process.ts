import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installEnvoy } from '#infra/parts/envoy.ts'
import { send, until } from '../mesh/shop.ts'

export interface EnvoyOptions {
  readonly version: string
  /** Where plaintext discovery is, `127.0.0.1:PORT`. */
  readonly xds: string
  readonly nodeId: string
  /** `DELTA_GRPC` by default; `REST` polls, and has no ADS. */
  readonly api?: 'DELTA_GRPC' | 'GRPC' | 'REST'
  readonly metadata?: Readonly<Record<string, unknown>>
  /** The longest that Envoy waits between two tries to reach discovery. */
  readonly retryMs?: number
  /** Reports its load to where discovery is. */
  readonly loadReports?: boolean
  /** Asks for no clusters by itself. */
  readonly clustersOnDemand?: boolean
  /** Layers of its runtime that come by RTDS, each by its name, over which stream. Envoy begins with nothing before it has all of them. */
  readonly runtime?: Readonly<Record<string, 'ads' | 'DELTA_GRPC' | 'GRPC'>>
}

/** A stock Envoy with nothing in its bootstrap but where discovery is. */
export class EnvoyProcess {
  readonly #folder: string
  readonly #child: ChildProcess
  readonly admin: string
  #said = ''

  private constructor(folder: string, child: ChildProcess) {
    this.#folder = folder
    this.#child = child
    child.stderr?.on('data', (text: Buffer) => (this.#said = (this.#said + text.toString()).slice(-20_000)))
    this.admin = ''
  }

  static async start(options: EnvoyOptions): Promise<EnvoyProcess> {
    const binary = await installEnvoy(options.version)
    const folder = mkdtempSync(join(tmpdir(), 'weft-envoy-'))
    const file = join(folder, 'bootstrap.json')
    const adminFile = join(folder, 'admin')
    writeFileSync(file, JSON.stringify(bootstrap(options)))
    const child = spawn(binary, ['-c', file, '--admin-address-path', adminFile, '--use-dynamic-base-id', '--concurrency', '1', '--log-level', 'warning', '--drain-time-s', '1', '--parent-shutdown-time-s', '2'], { stdio: ['ignore', 'ignore', 'pipe'] })
    const envoy = new EnvoyProcess(folder, child)
    await until(`Envoy ${options.version} opens its admin port`, () => {
      if (child.exitCode !== null) throw new Error(`Envoy ended with ${child.exitCode}: ${envoy.said}`)
      try {
        Object.assign(envoy, { admin: readFileSync(adminFile, 'utf8').trim() })
        return envoy.admin !== ''
      } catch {
        // Not written yet.
        return false
      }
    })
    return envoy
  }

  /** Its log's last lines. */
  get said(): string {
    return this.#said
  }

  async get(path: string): Promise<string> {
    return (await send(this.admin, { host: 'admin', path })).body
  }

  async isReady(): Promise<boolean> {
    return (await send(this.admin, { host: 'admin', path: '/ready' })).status === 200
  }

  /** A counter or gauge; 0 while it is not there. */
  async stat(name: string): Promise<number> {
    const line = (await this.get(`/stats?filter=^${name.replaceAll('.', '\\.')}$`)).trim()
    return line === '' ? 0 : Number(line.slice(line.lastIndexOf(':') + 1))
  }

  /** `ADDRESS:PORT` of a listener that was given port 0; undefined while it is not there. */
  async listener(name: string): Promise<string | undefined> {
    const { listener_statuses: all = [] } = JSON.parse(await this.get('/listeners?format=json')) as { listener_statuses?: { name: string; local_address: { socket_address: { address: string; port_value: number } } }[] }
    const at = all.find((one) => one.name === name)?.local_address.socket_address
    return at && `${at.address}:${at.port_value}`
  }

  async ready(): Promise<void> {
    await until('Envoy is ready', () => this.isReady())
  }

  /** Waits for a listener that was given port 0. */
  async listening(name: string): Promise<string> {
    let at: string | undefined
    await until(`the listener ${name} is there`, async () => (at = await this.listener(name)) !== undefined)
    return at ?? ''
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const gone = new Promise((resolve) => this.#child.once('exit', resolve))
      this.#child.kill('SIGKILL')
      await gone
    }
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function bootstrap({ xds, nodeId, api = 'DELTA_GRPC', metadata = {}, retryMs = 200, loadReports = false, clustersOnDemand = false, runtime = {} }: EnvoyOptions): object {
  const [address, port] = xds.split(':')
  const rest = api === 'REST'
  const source = rest
    ? { api_type: 'REST', transport_api_version: 'V3', cluster_names: ['xds'], refresh_delay: '0.1s', request_timeout: '30s' }
    : {
        api_type: api,
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds', retry_policy: { retry_back_off: { base_interval: '0.05s', max_interval: `${retryMs / 1000}s` } } } }],
      }
  const from = rest ? { resource_api_version: 'V3', api_config_source: source, initial_fetch_timeout: '0s' } : { resource_api_version: 'V3', ads: {}, initial_fetch_timeout: '0s' }
  return {
    // Envoy takes times to live and does not say so by itself.
    node: { id: nodeId, cluster: 'peers', metadata, client_features: ['xds.config.supports-resource-ttl'] },
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } },
    ...(loadReports ? { cluster_manager: { load_stats_config: { api_type: 'GRPC', transport_api_version: 'V3', grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }] } } } : {}),
    layered_runtime: {
      layers: Object.entries(runtime).map(([name, over]) => ({
        name,
        rtds_layer: { name, rtds_config: over === 'ads' ? from : { ...from, ads: undefined, api_config_source: { ...source, api_type: over } } },
      })),
    },
    dynamic_resources: { ...(rest ? {} : { ads_config: source }), ...(clustersOnDemand ? {} : { cds_config: from }), lds_config: from },
    static_resources: {
      clusters: [
        {
          name: 'xds',
          type: 'STATIC',
          connect_timeout: '1s',
          typed_extension_protocol_options: rest
            ? {}
            : { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': { '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions', explicit_http_config: { http2_protocol_options: {} } } },
          load_assignment: { cluster_name: 'xds', endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address, port_value: Number(port) } } } }] }] },
        },
      ],
    },
  }
}
