/**
 * `npm test`: types, lint, the parts that tests drive, then every test file. Arguments are paths or globs of test files; `--write` rewrites golden cases.
 * What failed in a whole run is asked once more when it is over, and no other load is left: a failure that stays is one. One that goes has its words in the first summary, and is a fault to be found all the same.
 * Ends with node:test's own summary.
 */
import { spawn } from 'node:child_process'
import { globSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { installParts } from './parts/install.ts'

const args = process.argv.slice(2)
const write = args.includes('--write')
const chosen = args.filter((arg) => !arg.startsWith('--'))

function run(title: string, command: string, parameters: string[], env: Record<string, string> = {}): Promise<number> {
  if (title !== '') process.stderr.write(`\n— ${title}\n`)
  return new Promise((resolve, reject) => {
    const child = spawn(command, parameters, { stdio: 'inherit', env: { ...process.env, ...env } })
    child.on('error', reject)
    child.on('exit', (code, signal) => resolve(code ?? (signal === null ? 0 : 1)))
  })
}

async function mustPass(title: string, command: string, parameters: string[]): Promise<void> {
  const code = await run(title, command, parameters)
  if (code !== 0) process.exit(code)
}

if (chosen.length === 0) {
  await mustPass('types', 'node_modules/.bin/tsc', ['--noEmit'])
  await mustPass('lint', 'node_modules/.bin/oxlint', ['--deny-warnings'])
}
await installParts((line) => process.stderr.write(`— ${line}\n`))

const files = (chosen.length > 0 ? chosen : ['{core,db,api,proxy,gateway,cli,console,agent,infra,bench}/**/*.test.ts', 'test/**/*.test.ts']).flatMap((pattern) => globSync(pattern)).sort()
const attempts = mkdtempSync(path.join(tmpdir(), 'weft-test-attempts-'))
const asked = ['--test', '--test-concurrency=2', '--test-timeout=600000', '--disable-warning=ExperimentalWarning', '--import', new URL('./parts/fixed-seed.ts', import.meta.url).href, ...(chosen.length === 0 ? [`--test-rerun-failures=${path.join(attempts, 'passed.json')}`] : []), ...files]
const env: Record<string, string> = write ? { WEFT_WRITE: '1' } : {}
let code = await run(`${files.length} test files`, process.execPath, asked, env)
if (code !== 0 && chosen.length === 0) code = await run('what failed, once more', process.execPath, asked, env)
rmSync(attempts, { recursive: true })
process.exit(code)
