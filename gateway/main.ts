import { runProxy } from '#proxy/run.ts'

// A gateway is a proxy of another type: its listeners, certificates by SNI and redirects come with its configuration.
await runProxy('router', process.env, process.argv.slice(2))
