import { spawn } from 'node:child_process'
import { access, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { partsCache } from './python-package.ts'

/** Installations under way in this process, by name. */
const installing = new Map<string, Promise<string>>()

/** The path of a program that Go builds from a module at a version, into the cache folder when it is not there yet. @throws Error with Go's own words when it cannot be had */
export function installGoProgram(name: string, module: string): Promise<string> {
  let path = installing.get(name)
  if (path === undefined) installing.set(name, (path = install(name, module)))
  return path
}

async function install(name: string, module: string): Promise<string> {
  const folder = join(partsCache(), 'bin')
  const path = join(folder, name)
  try {
    await access(path)
    return path
  } catch {
    // Not installed yet.
  }
  process.stderr.write(`${name}: building (10 s to a minute)\n`)
  await mkdir(folder, { recursive: true })
  await build(folder, module).catch(() => build(folder, module))
  return path
}

/** Fetches and builds it. Whoever serves modules fails now and then, so it is worth asking twice. */
function build(folder: string, module: string): Promise<void> {
  return new Promise<void>((done, failed) => {
    const child = spawn('go', ['install', module], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, GOBIN: folder } })
    let said = ''
    child.stderr.on('data', (text: Buffer) => (said += text.toString()))
    child.on('error', failed)
    child.on('exit', (code) => (code === 0 ? done() : failed(new Error(`go install ${module} ended with ${code}: ${said.slice(-2000)}`))))
  })
}
