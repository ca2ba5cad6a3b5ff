import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

/** Two hosts of one link, each a network namespace of this machine: `near` has the application and its proxy, `far` is the rest of the world. */
export interface Hosts {
  readonly near: string
  readonly far: string
}

export const addresses = { near: '10.251.0.1', far: '10.251.0.2', nearSix: 'fd51::1', farSix: 'fd51::2' } as const

/** Runs to its end. @throws Error with what it said */
export function run(command: string, parameters: readonly string[], input = ''): string {
  const { error, status, stdout, stderr } = spawnSync(command, parameters, { encoding: 'utf8', input })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${command} ${parameters.join(' ')} ended with ${status}: ${stderr.trim()}`)
  return stdout
}

/** What Debian has and this machine may lack. */
export function installTools(...more: readonly (readonly [tool: string, debianPackage: string])[]): void {
  const tools: typeof more = [['ip', 'iproute2'], ['nft', 'nftables'], ['iptables', 'iptables'], ...more]
  const missing = tools.flatMap(([tool, debianPackage]) => (spawnSync(tool, ['-V']).error !== undefined ? [debianPackage] : []))
  if (missing.length === 0) return
  process.stderr.write(`installing ${missing.join(', ')}\n`)
  const apt = (...parameters: string[]): void => void run('apt-get', ['-q', '-y', ...parameters])
  try {
    apt('install', ...missing)
  } catch {
    // The lists of packages may be old.
    apt('update')
    apt('install', ...missing)
  }
}

/** Makes both hosts and the link; they go with the test. */
export function makeHosts(t: TestContext): Hosts {
  const near = `weft-near-${process.pid}`
  const far = `weft-far-${process.pid}`
  const ip = (...parameters: string[]): void => void run('ip', parameters)
  for (const name of [near, far]) {
    ip('netns', 'add', name)
    t.after(() => ip('netns', 'delete', name))
    ip('-n', name, 'link', 'set', 'lo', 'up')
  }
  ip('-n', near, 'link', 'add', 'link0', 'type', 'veth', 'peer', 'name', 'link0', 'netns', far)
  for (const [name, four, six] of [[near, addresses.near, addresses.nearSix], [far, addresses.far, addresses.farSix]] as const) {
    ip('-n', name, 'address', 'add', `${four}/24`, 'dev', 'link0')
    // Without `nodad` the address could not be used for a second.
    ip('-n', name, '-6', 'address', 'add', `${six}/64`, 'dev', 'link0', 'nodad')
    ip('-n', name, 'link', 'set', 'link0', 'up')
  }
  return { near, far }
}

/** A script of ours on a host, as a user; ends with the test. Resolves when it prints its first line. */
export async function startOn(t: TestContext, host: string, script: string, uid: number, ...words: string[]): Promise<ChildProcess> {
  const child = spawn('ip', ['netns', 'exec', host, process.execPath, '--disable-warning=ExperimentalWarning', script, String(uid), ...words], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  })
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve())
    child.once('exit', (code) => reject(new Error(`${script} ended with ${code}`)))
  })
  return child
}

/** One request from a host, as a user: status, the header that the proxy adds, and the body. */
export function askFrom(host: string, url: string): { status: number; seen: string; body: string } {
  const program = `fetch(${JSON.stringify(url)}, { headers: { connection: 'close' }, signal: AbortSignal.timeout(120_000) }).then(async (r) => console.log(JSON.stringify({ status: r.status, seen: r.headers.get('x-captured') ?? '', body: await r.text() })), (e) => { console.error(e.cause ?? e); process.exit(1) })`
  return JSON.parse(run('ip', ['netns', 'exec', host, process.execPath, '-e', program])) as { status: number; seen: string; body: string }
}

/** A path with what the command needs and no nft, so that it takes iptables. */
export function iptablesAlone(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'weft-iptables-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  for (const name of ['iptables', 'ip6tables', 'iptables-restore', 'ip6tables-restore']) run('ln', ['-sf', run('which', [name]).trim(), join(folder, name)])
  return folder
}
