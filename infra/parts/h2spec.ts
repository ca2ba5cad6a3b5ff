import { installGoProgram } from './go-program.ts'

/** The path of h2spec (RFC 9113 and RFC 7541 as a test suite), built by Go into the cache folder when it is not there yet. @throws Error with Go's own words when it cannot be had */
export const installH2spec = (): Promise<string> => installGoProgram('h2spec', 'github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible')
