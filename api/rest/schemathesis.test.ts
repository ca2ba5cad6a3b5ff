import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { installSchemathesis } from '#infra/parts/schemathesis.ts'
import { openApi, serveApp, unboundedRates } from '#test/parts/api.ts'
import { restApi } from './app.ts'

// A foreign reader of the OpenAPI document asks what it allows, and what it does not.

const EXAMPLES = Number(process.env['WEFT_SCHEMATHESIS_EXAMPLES'] ?? 15)

test('schemathesis finds no failure of the server and no answer outside the OpenAPI document', async (context) => {
  // Where it cannot be had, that is a failure with its reason.
  const python = await installSchemathesis()
  const api = await openApi({ rates: unboundedRates() })
  const served = await serveApp(restApi(api.doors))
  const folder = await mkdtemp(join(tmpdir(), 'weft-schemathesis-'))
  try {
    // Among made-up names everything is not found: the interesting paths are those of a mesh that is there.
    await writeFile(join(folder, 'schemathesis.toml'), '[parameters]\n"path.organization" = "demo"\n"path.mesh" = "shop"\n')
    const key = await api.key('owner')
    // One worker: two threads that read Python's syntax at once end CPython before 3.12.2 in "recursion depth mismatch" (python/cpython#106905).
    const args = ['-m', 'schemathesis.cli', 'run', `${served.url}/openapi.json`, '--header', `Authorization: Bearer ${key}`, '--checks', 'not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance', '--phases', 'examples,coverage,fuzzing', '--max-examples', String(EXAMPLES), '--seed', '1', '--workers', '1', '--no-color', '--exclude-path-regex', '/events$']
    const { code, said } = await run(python, args, folder)
    assert.deepEqual(api.unexpected, [])
    assert.equal(code, 0, said.slice(-6000))
    context.diagnostic(said.split('\n').filter((line) => /test cases|tested|generated/i.test(line)).join(' | ').slice(0, 300))
  } finally {
    await served.close()
    await api.close()
    await rm(folder, { recursive: true, force: true })
  }
})

function run(command: string, args: readonly string[], cwd: string): Promise<{ code: number | null; said: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, HOME: cwd } })
    let said = ''
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, said }))
  })
}
