import type { Bootstrap } from '../bootstrap/bootstrap.ts'

/** The token that a proxy joins with, read anew at each use: platforms replace the file. @throws when the file cannot be read */
export function readJoinToken(joinToken: Bootstrap['joinToken'], readFile: (path: string) => string): string | undefined {
  if (joinToken === undefined) return undefined
  return 'text' in joinToken ? joinToken.text : readFile(joinToken.file).trim()
}
