import { UsageError } from './usage.ts'

/** The first line of standard input; a person at a terminal is asked for it. @throws UsageError in the words of `missing` when there is none */
export async function lineFromInput(asked: string, missing: string): Promise<string> {
  if (process.stdin.isTTY) process.stderr.write(`${asked}: `)
  let text = ''
  for await (const chunk of process.stdin) {
    text += String(chunk)
    if (text.includes('\n')) break
  }
  const line = text.split('\n')[0]?.trim() ?? ''
  if (line === '') throw new UsageError(missing)
  return line
}
