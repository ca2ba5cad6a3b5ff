import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import { makeRoot, readAuthority } from '#api/ca/root.ts'
import { serverCertificate } from '#api/ca/sign.ts'
import { revocationList } from '#cli/engines/revocation-list.ts'
import { ENVOY_VERSIONS, installEnvoy } from '#infra/parts/envoy.ts'
import { validationBootstrap } from './testing/envoy-bootstrap.ts'
import { meshOf, nodeFrom, objectsIn, workloadFrom } from './testing/mesh-case.ts'
import type { MeshCase } from './testing/mesh-case.ts'

const cases = join(import.meta.dirname, 'cases')
const folder = mkdtempSync(join(tmpdir(), 'weft-translate-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** Files and hashes that cases name: Envoy reads them as it validates. One certificate and its key stand for all. */
const SAID = /\/etc\/weft-test\/([a-z-]+\.(?:pem|crl|hash|spki))/g
const authority = readAuthority(makeRoot({ organization: 'cases', nowMs: Date.now() }))
const { certificate, privateKey } = serverCertificate(authority, ['cases.example'], Date.now())

/** The same bootstrap with such files in the test's own folder, written. */
function withFiles(bootstrap: string): string {
  return bootstrap.replace(SAID, (_, name: string) => {
    if (/\.(hash|spki)$/.test(name)) return createHash('sha256').update(certificate).digest(name.endsWith('.hash') ? 'hex' : 'base64')
    const file = join(folder, name)
    writeFileSync(file, name.endsWith('.crl') ? revocationList(authority, [certificate], Date.now()) : name.endsWith('-key.pem') ? privateKey : certificate)
    return file
  })
}

for (const version of ENVOY_VERSIONS) {
  test(`stock Envoy ${version} accepts every case`, async (context) => {
    const envoy = await installEnvoy(version)
    for (const name of readdirSync(cases).sort()) {
      await context.test(name, async () => {
        const about = parse(readFileSync(join(cases, name, 'case.yaml'), 'utf8')) as MeshCase
        const { views } = meshOf(objectsIn(readFileSync(join(cases, name, 'mesh.yaml'), 'utf8')), (about.workloads ?? []).map(workloadFrom), about.settings)
        const file = join(folder, `${name}-${version}.json`)
        writeFileSync(file, withFiles(validationBootstrap(views.viewFor({ ...nodeFrom(about.proxy), engine: 'envoy', version }, undefined))))
        const said = await promisify(execFile)(envoy, ['--mode', 'validate', '-c', file, '--log-level', 'warning']).then(
          () => '',
          (error: { stderr?: string; message: string }) => error.stderr ?? error.message,
        )
        assert.equal(said, '')
      })
    }
  })
}
