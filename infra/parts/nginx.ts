import { spawn } from 'node:child_process'
import { access, chmod, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { partsCache } from './python-package.ts'

let installing: Promise<string> | undefined

/** The path of nginx, from the distribution's package, unpacked into the cache folder and not installed. @throws Error with apt's own words when it cannot be had */
export function installNginx(): Promise<string> {
  return (installing ??= install())
}

async function install(): Promise<string> {
  const home = join(partsCache(), 'nginx')
  const path = join(home, 'usr/sbin/nginx')
  try {
    await access(path)
    return path
  } catch {
    // Not unpacked yet.
  }
  process.stderr.write('nginx: unpacking the package of this distribution\n')
  const folder = await mkdtemp(join(tmpdir(), 'weft-nginx-'))
  try {
    // apt's own user fetches.
    await chmod(folder, 0o777)
    await run(folder, 'apt-get', 'download', 'nginx').catch(async () => {
      // A machine that has never asked what there is.
      await run(folder, 'apt-get', 'update', '-qq')
      await run(folder, 'apt-get', 'download', 'nginx')
    })
    const [archive] = (await readdir(folder)).filter((name) => name.endsWith('.deb'))
    if (archive === undefined) throw new Error('apt-get download nginx left no package')
    await run(folder, 'dpkg-deb', '-x', archive, 'unpacked')
    await rm(home, { recursive: true, force: true })
    await run(folder, 'mkdir', '-p', partsCache())
    await rename(join(folder, 'unpacked'), home).catch(() => run(folder, 'cp', '-r', 'unpacked', home))
    return path
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function run(folder: string, command: string, ...parameters: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, parameters, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
    let said = ''
    child.stderr.on('data', (text: Buffer) => (said += text.toString()))
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`${command} ${parameters.join(' ')} ended with ${code}: ${said.slice(-2000)}`))))
  })
}
