import { spawn } from 'node:child_process'
import { access, constants } from 'node:fs/promises'

/** Only one apt runs at a time on a machine: so long it waits for another to end. */
const LOCK_WAIT_S = 300

/**
 * The path of a program, whose Debian package is installed when it is not there yet.
 * @throws Error with apt's own words when it cannot be had
 */
export async function installDebianPackage(name: string, program: string): Promise<string> {
  if (await isExecutable(program)) return program
  if (process.getuid?.() !== 0) throw new Error(`${program} is not there, and only root can install Debian's ${name}`)
  process.stderr.write(`${name}: installing from Debian\n`)
  const install = ['install', '-y', '-qq', '--no-install-recommends', '-o', `DPkg::Lock::Timeout=${LOCK_WAIT_S}`, name]
  try {
    await apt(install)
  } catch {
    // No lists yet, or such as name versions that the mirror has replaced: read them again, once.
    await apt(['update', '-qq'])
    await apt(install)
  }
  if (!(await isExecutable(program))) throw new Error(`apt-get installed ${name}, but ${program} is not there`)
  return program
}

const isExecutable = (path: string): Promise<boolean> =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  )

function apt(parameters: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    // Servers that a package brings are started by whoever needs them, and not by the machine.
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
    const child = spawn('apt-get', parameters, { stdio: ['ignore', 'pipe', 'pipe'], env })
    let said = ''
    child.stdout.on('data', (text: Buffer) => (said += text.toString()))
    child.stderr.on('data', (text: Buffer) => (said += text.toString()))
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`apt-get ${parameters.join(' ')} ended with ${code}: ${said.slice(-2000)}`))))
  })
}
