import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { jsonLog, logLevels, type LogLevel } from '#api/log.ts'
import type { ControlPlaneOptions } from '#api/control-plane.ts'
import { startControlPlane } from '#api/main.ts'
import { trustedProxies } from '#api/access/source.ts'
import { systemDoors } from '#core/time/system.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { sealKeyOf } from './credentials.ts'
import { readArgs, UsageError } from '../usage.ts'

const flags = {
  database: { type: 'string' },
  data: { type: 'string' },
  address: { type: 'string' },
  'rest-port': { type: 'string' },
  'xds-port': { type: 'string' },
  'monitoring-port': { type: 'string' },
  'xds-name': { type: 'string', multiple: true },
  'public-url': { type: 'string' },
  'root-file': { type: 'string' },
  'log-level': { type: 'string' },
  'trusted-proxies': { type: 'string' },
  'oidc-issuer': { type: 'string' },
  'oidc-client-id': { type: 'string' },
  'oidc-private-networks': { type: 'boolean' },
  'module-private-networks': { type: 'boolean' },
  replica: { type: 'boolean' },
  'xds-conformance': { type: 'boolean' },
} as const

/** Authorities that Gateways may name, separated by commas, and the file with the roots of private ones. @throws UsageError */
function acmeOf(directories: string | undefined, rootsFile: string | undefined): Partial<Pick<ControlPlaneOptions, 'acme'>> {
  const urls = directories?.split(',').map((one) => one.trim()).filter((one) => one !== '')
  for (const url of urls ?? []) if (!URL.canParse(url) || !url.startsWith('https://')) throw new UsageError(`WEFT_ACME_DIRECTORIES: ${url} is no https URL`)
  if (urls === undefined && rootsFile === undefined) return {}
  return { acme: { ...(urls === undefined ? {} : { directories: urls }), ...(rootsFile === undefined ? {} : { roots: readFileSync(rootsFile, 'utf8') }) } }
}

/** @throws UsageError */
function trustedOf(networks: string | undefined): Partial<Pick<ControlPlaneOptions, 'trustedProxies'>> {
  const named = (networks ?? '').split(',').map((one) => one.trim()).filter((one) => one !== '')
  try {
    return named.length === 0 ? {} : { trustedProxies: trustedProxies(named) }
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(`--trusted-proxies: ${error.message}`) : error
  }
}

/** Runs the control plane until a signal ends it; flags and variables as `weft server --help` lists them. @throws UsageError */
export async function serve(args: string[], consoleDir: string): Promise<ExitCode> {
  const { values } = readArgs(args, flags, { min: 0, max: 0 })
  const setting = (name: Exclude<keyof typeof flags, 'xds-name' | 'replica' | 'oidc-private-networks' | 'module-private-networks' | 'xds-conformance'>): string | undefined => values[name] ?? process.env[`WEFT_${name.replaceAll('-', '_').toUpperCase()}`]
  const port = (name: 'rest-port' | 'xds-port' | 'monitoring-port', usual: number): number => {
    const value = Number(setting(name) ?? usual)
    if (!Number.isInteger(value) || value < 0 || value > 65_535) throw new UsageError(`--${name}: ${JSON.stringify(setting(name))} is not a port`)
    return value
  }
  if (values['xds-conformance']) {
    const { serveConformance } = await import('./serve-conformance.ts')
    return serveConformance(setting('address') ?? '127.0.0.1', port('xds-port', 18_000), port('rest-port', 17_000))
  }
  const level = setting('log-level') ?? 'info'
  if (!logLevels.includes(level as LogLevel)) throw new UsageError(`--log-level: one of ${logLevels.join(', ')}`)
  const dir = path.resolve(setting('data') ?? '.weft')
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const address = setting('address') ?? '127.0.0.1'
  const bootstrapKey = process.env['WEFT_BOOTSTRAP_KEY']
  const publicUrl = setting('public-url')
  const [issuer, clientId] = [setting('oidc-issuer'), setting('oidc-client-id')]
  if ((issuer === undefined) !== (clientId === undefined)) throw new UsageError('--oidc-issuer and --oidc-client-id go together')
  const plane = await startControlPlane({
    doors: systemDoors,
    log: jsonLog((line) => process.stderr.write(line), () => Date.now(), level as LogLevel),
    database: setting('database') ?? `pglite:${path.join(dir, 'db')}`,
    sealKey: sealKeyOf(dir),
    address,
    restPort: port('rest-port', 8080),
    xdsPort: port('xds-port', 15_012),
    monitoringPort: port('monitoring-port', 15_014),
    ...acmeOf(process.env['WEFT_ACME_DIRECTORIES'], process.env['WEFT_ACME_ROOTS']),
    xdsNames: ['localhost', address, ...(values['xds-name'] ?? process.env['WEFT_XDS_NAME']?.split(',') ?? [])],
    ...(publicUrl === undefined ? {} : { publicUrl }),
    ...trustedOf(setting('trusted-proxies')),
    ...(bootstrapKey === undefined ? {} : { bootstrapKeyHash: createHash('sha256').update(bootstrapKey).digest('hex') }),
    oidc: {
      privateNetworks: values['oidc-private-networks'] ?? process.env['WEFT_OIDC_PRIVATE_NETWORKS'] === 'true',
      ...(issuer === undefined || clientId === undefined ? {} : { installation: { issuer, clientId, clientSecret: process.env['WEFT_OIDC_CLIENT_SECRET'] ?? null } }),
    },
    modules: { privateNetworks: values['module-private-networks'] ?? process.env['WEFT_MODULE_PRIVATE_NETWORKS'] === 'true' },
    consoleDir,
    sole: !(values.replica ?? false),
  })
  const rootFile = setting('root-file')
  if (rootFile !== undefined) writeFileSync(rootFile, plane.xds.rootCertificate)
  process.stdout.write(`${JSON.stringify({ rest: plane.rest, xds: { address: plane.xds.address, port: plane.xds.port }, monitoring: plane.monitoring })}\n`)
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
  })
  await plane.close()
  return exitCodes.done
}
