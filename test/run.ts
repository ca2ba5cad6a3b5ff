/**
 * `npm test`: types, lint, the parts that tests drive, then every test file. Arguments are paths or globs of test files; `--write` rewrites golden cases.
 * Ends with node:test's own summary.
 */
import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
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
const code = await run(`${files.length} test files`, process.execPath, ['--test', '--test-concurrency=2', '--test-timeout=600000', '--disable-warning=ExperimentalWarning', '--import', new URL('./parts/fixed-seed.ts', import.meta.url).href, ...files], write ? { WEFT_WRITE: '1' } : {})
process.exit(code)
