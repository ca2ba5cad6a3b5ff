import { readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'

export interface StaticFile {
  readonly bytes: Uint8Array
  readonly contentType: string
  /** The name holds the content's hash: `cache-control: public, max-age=31536000, immutable`. What is not must be asked for anew (`no-cache`). */
  readonly immutable: boolean
}

/** What the page needs to be allowed, and nothing else. */
export const consoleSecurityPolicy = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"

const contentTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** The built console by URL path: `/`, `/index.html`, `/app-HASH.js`, …. @throws Error when `directory` holds no build */
export function consoleFiles(directory: string): Map<string, StaticFile> {
  const files = new Map<string, StaticFile>()
  for (const name of readdirSync(directory).sort()) {
    const contentType = contentTypes[path.extname(name)]
    if (contentType === undefined) continue
    files.set(`/${name}`, { bytes: readFileSync(path.join(directory, name)), contentType, immutable: /-[A-Z0-9]{8}\.\w+$/.test(name) })
  }
  const index = files.get('/index.html')
  if (index === undefined) throw new Error(`${directory} holds no built console: run node infra/build/console.ts`)
  return files.set('/', index)
}
