/** `npm run bench -- NAME [options]`: each bench is a module with `run(args)`, which prints figures and resolves when it is done. */
const benches: Readonly<Record<string, () => Promise<{ run(args: readonly string[]): Promise<void> }>>> = {
  xds: () => import('./xds.ts'),
  sidecar: () => import('./sidecar.ts'),
  gateway: () => import('./gateway.ts'),
  soak: () => import('./soak.ts'),
  api: () => import('./api.ts'),
  router: () => import('./router.ts'),
  istio: () => import('./istio.ts'),
}

const [name = '', ...args] = process.argv.slice(2)
const load = benches[name]
if (!load) {
  console.error(`npm run bench -- ${Object.keys(benches).join('|')} [options]`)
  process.exit(2)
}
const bench = await load()
await bench.run(args)
