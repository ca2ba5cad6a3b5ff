import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { build, type Metafile, type Plugin } from 'esbuild'

export interface ProxyBundles {
  /** Files to run with Node. */
  readonly proxy: string
  readonly gateway: string
  readonly metafile: Metafile
}

/** grpc-js is CommonJS and calls `require`, which modules do not have. */
const banner = "import { createRequire as weftCreateRequire } from 'node:module'; const require = weftCreateRequire(import.meta.url);"

/**
 * Bundles the sidecar and the gateway: `proxy.mjs`, `gateway.mjs`, the chunks that both share, and those that are loaded only when needed (OTLP, the config dump's registry, the Envoy agent).
 * Writes esbuild's `metafile.json` beside them.
 */
export async function bundleProxies({ outDir, root = path.join(import.meta.dirname, '../..') }: { outDir: string; root?: string }): Promise<ProxyBundles> {
  await mkdir(outDir, { recursive: true })
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: { proxy: 'proxy/main.ts', gateway: 'gateway/main.ts' },
    outdir: outDir,
    outExtension: { '.js': '.mjs' },
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node26',
    minify: true,
    keepNames: true,
    plugins: [withoutFetch],
    banner: { js: banner },
    metafile: true,
    logLevel: 'warning',
  })
  await writeFile(path.join(outDir, 'metafile.json'), JSON.stringify(metafile))
  return { proxy: path.join(outDir, 'proxy.mjs'), gateway: path.join(outDir, 'gateway.mjs'), metafile }
}

/**
 * Bundles the control plane and what `weft up` does around it: `up.mjs`, `server.mjs`. Over a thousand small modules cost more to find and to strip of types than all else at a start.
 * What must stay a file of its own (the database's thread, migrations, the applications) is read where the sources lie.
 */
export async function bundleControlPlane({ outDir, root = path.join(import.meta.dirname, '../..') }: { outDir: string; root?: string }): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: { up: 'cli/up/run.ts', server: 'cli/up/serve.ts' },
    outdir: outDir,
    outExtension: { '.js': '.mjs' },
    chunkNames: 'plane/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node26',
    // Names stay: they stand in the stack traces of the log.
    minifySyntax: true,
    minifyWhitespace: true,
    external: ['@electric-sql/pglite', 'esbuild', 'pg-native'],
    plugins: [ownPlaces(root)],
    banner: { js: banner },
    metafile: true,
    logLevel: 'warning',
  })
  return metafile
}

/** In a bundle `import.meta` speaks of the bundle; what our own modules find by it lies beside the source. */
const ownPlaces = (root: string): Plugin => ({
  name: 'own-places',
  setup(on) {
    on.onLoad({ filter: /\.ts$/ }, async ({ path: file }) => {
      if (file.includes('/node_modules/') || !file.startsWith(root)) return undefined
      const text = await readFile(file, 'utf8')
      if (!text.includes('import.meta.')) return undefined
      const contents = text
        .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(file).href))
        .replaceAll('import.meta.dirname', JSON.stringify(path.dirname(file)))
        .replaceAll('import.meta.main', 'false')
      return { contents, loader: 'ts' }
    })
  },
})

/**
 * To import or to require `node:http` reads all that it exports, WebSocket too, for which Node loads its fetch client: 20 ms and 5 MB that no proxy needs.
 * `process.getBuiltinModule` gives the module without reading what is in it.
 */
const withoutFetch: Plugin = {
  name: 'without-fetch',
  setup(on) {
    on.onResolve({ filter: /^(node:)?http$/ }, () => ({ path: 'http', namespace: 'builtin' }))
    on.onLoad({ filter: /.*/, namespace: 'builtin' }, () => ({ contents: "module.exports = process.getBuiltinModule('node:http')", loader: 'js' }))
  },
}

if (import.meta.main) {
  const { metafile } = await bundleProxies({ outDir: path.join(import.meta.dirname, '../../dist') })
  for (const [file, { bytes }] of Object.entries(metafile.outputs)) process.stdout.write(`${String(bytes).padStart(9)} ${file}\n`)
}
