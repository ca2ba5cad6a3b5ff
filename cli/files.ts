import { readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'

/** The text of one `-f` argument's file, and the name that faults give it. */
export interface TextFile {
  readonly name: string
  readonly text: string
}

const isManifest = (file: string): boolean => /\.(ya?ml|json)$/.test(file)

/**
 * What `-f FILE|DIR|URL|-` names: a file, a folder with all that lies below it in order of name, a URL, or standard input.
 * @throws Error naming what cannot be read
 */
export async function readFiles(sources: readonly string[]): Promise<TextFile[]> {
  const files: TextFile[] = []
  for (const source of sources) {
    if (source === '-') files.push({ name: 'standard input', text: await readStandardInput() })
    else if (/^https?:\/\//.test(source)) files.push({ name: source, text: await readUrl(source) })
    else files.push(...readPath(source))
  }
  return files
}

function readPath(source: string): TextFile[] {
  const found = statSync(source, { throwIfNoEntry: false })
  if (found === undefined) throw new Error(`the path ${source} does not exist`)
  if (!found.isDirectory()) return [{ name: source, text: readFileSync(source, 'utf8') }]
  return readdirSync(source, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && isManifest(entry.name))
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort()
    .map((name) => ({ name, text: readFileSync(name, 'utf8') }))
}

async function readUrl(url: string): Promise<string> {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url} answers ${response.status}`)
  return response.text()
}

async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}
