import { spawn } from 'node:child_process'
import { access, mkdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

const MODULE = 'github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible'

let installing: Promise<string> | undefined

/** The path of h2spec (RFC 9113 and RFC 7541 as a test suite), built by Go into the cache folder when it is not there yet. @throws Error with Go's own words when it cannot be had */
export function installH2spec(): Promise<string> {
  return (installing ??= install())
}

async function install(): Promise<string> {
  const folder = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'weft-test', 'bin')
  const path = join(folder, 'h2spec')
  try {
    await access(path)
    return path
  } catch {
    // Not installed yet.
  }
  process.stderr.write('h2spec: building (about 10 s)\n')
  await mkdir(folder, { recursive: true })
  await new Promise<void>((done, failed) => {
    const child = spawn('go', ['install', MODULE], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, GOBIN: folder } })
    let said = ''
    child.stderr.on('data', (text: Buffer) => (said += text))
    child.on('error', failed)
    child.on('exit', (code) => (code === 0 ? done() : failed(new Error(`go install ${MODULE} ended with ${code}: ${said.slice(-2000)}`))))
  })
  return path
}
