import { installGoProgram } from './go-program.ts'

/** The path of crane, whose `registry serve` is a registry of images as Go programs know it, built by Go into the cache folder when it is not there yet. @throws Error with Go's own words when it cannot be had */
export const installCrane = (): Promise<string> => installGoProgram('crane', 'github.com/google/go-containerregistry/cmd/crane@v0.20.2')
