import { spawn } from 'node:child_process'
import { access, constants, readdir } from 'node:fs/promises'

const chromiumPath = '/usr/bin/chromium'
const aptLists = '/var/lib/apt/lists'

/** How to start Chromium here: as root its sandbox refuses, and a container's /dev/shm may be small. */
export const chromiumArguments = (): string[] => [...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), '--disable-dev-shm-usage']

/** The path of an executable Chromium, or undefined when none is installed. */
async function findChromium(): Promise<string | undefined> {
  try {
    await access(chromiumPath, constants.X_OK)
    return chromiumPath
  } catch {
    // Not there: the caller decides whether to install it or to skip.
    return undefined
  }
}

/**
 * Debian's Chromium, installed when it is missing. Resolves to its path.
 * @throws Error with apt's own last lines when it cannot be installed
 */
export async function installChromium(progress: (line: string) => void): Promise<string> {
  const found = await findChromium()
  if (found !== undefined) return found
  if (!(await hasPackageLists())) {
    progress('chromium: reading the package lists')
    await apt(['update'], progress)
  }
  progress('chromium: installing (about 100 MB, a minute or two)')
  const arguments_ = ['install', '-y', '--no-install-recommends', 'chromium', 'fonts-dejavu-core']
  try {
    await apt(arguments_, progress)
  } catch {
    // Lists that are there but old name versions that the mirror has replaced: read them again, once.
    progress('chromium: the package lists are old, reading them again')
    await apt(['update'], progress)
    await apt(arguments_, progress)
  }
  const installed = await findChromium()
  if (installed === undefined) throw new Error(`apt-get installed chromium, but ${chromiumPath} is not there`)
  progress(`chromium: ${installed}`)
  return installed
}

async function hasPackageLists(): Promise<boolean> {
  try {
    return (await readdir(aptLists)).some((name) => name.includes('_Packages'))
  } catch {
    // No such folder: no lists.
    return false
  }
}

function apt(parameters: string[], progress: (line: string) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('apt-get', parameters, { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }, stdio: ['ignore', 'pipe', 'pipe'] })
    let tail: string[] = []
    const read = (chunk: Buffer): void => {
      const lines = chunk.toString('utf8').split('\n').map((line) => line.trim()).filter((line) => line !== '')
      tail = [...tail, ...lines].slice(-8)
      for (const line of lines) if (/^(Setting up chromium|E:|Err:|Need to get)/.test(line)) progress(`chromium: ${line}`)
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`apt-get ${parameters.join(' ')} ended with ${String(code)}:\n${tail.join('\n')}`))))
  })
}
