import { installGoProgram } from './go-program.ts'

/** The path of Pebble, Let's Encrypt's ACME server for tests, built by Go into the cache folder when it is not there yet. @throws Error with Go's own words when it cannot be had */
export const installPebble = (): Promise<string> => installGoProgram('pebble', 'github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.1')
