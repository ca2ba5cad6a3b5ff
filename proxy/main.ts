import { runProxy } from './run.ts'

await runProxy('sidecar', process.env, process.argv.slice(2))
