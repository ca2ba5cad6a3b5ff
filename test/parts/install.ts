import { spawnSync } from 'node:child_process'
import { installChromium } from './chromium.ts'
import { installCrane } from '#infra/parts/crane.ts'
import { ENVOY_VERSIONS, installEnvoy } from '#infra/parts/envoy.ts'
import { installDebianPackage } from '#infra/parts/debian-package.ts'
import { installH2spec } from '#infra/parts/h2spec.ts'
import { installNginx } from '#infra/parts/nginx.ts'
import { installPebble } from '#infra/parts/pebble.ts'
import { installPgbouncer } from '#infra/parts/pgbouncer.ts'

/** What the tests drive, installed once on a machine; a part that cannot be had fails here, with its reason, and not in the middle of a suite. */
export async function installParts(progress: (line: string) => void): Promise<void> {
  installPackages(['curl', 'openssl'], progress)
  for (const version of ENVOY_VERSIONS) {
    progress(`Envoy ${version}`)
    await installEnvoy(version)
  }
  progress('h2spec')
  await installH2spec()
  progress('Pebble')
  await installPebble()
  progress('crane')
  await installCrane()
  progress('nginx')
  await installNginx()
  progress('pgbouncer, Postgres 15')
  await installPgbouncer()
  await installDebianPackage('postgresql-15', '/usr/lib/postgresql/15/bin/postgres')
  progress('Chromium')
  await installChromium(progress)
}

/** Debian packages by the commands that they bring. @throws Error when apt cannot */
function installPackages(commands: readonly string[], progress: (line: string) => void): void {
  const missing = commands.filter((command) => spawnSync('sh', ['-c', `command -v ${command}`]).status !== 0)
  if (missing.length === 0) return
  progress(`apt-get install ${missing.join(' ')}`)
  for (const args of [['update', '-qq'], ['install', '-y', '-qq', '--no-install-recommends', ...missing]]) {
    const ran = spawnSync('apt-get', args, { stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
    if (ran.status !== 0) throw new Error(`apt-get ${args[0]} failed: ${missing.join(', ')} are needed`)
  }
}
