import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { build, type Metafile } from 'esbuild'

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
    banner: { js: banner },
    metafile: true,
    logLevel: 'warning',
  })
  await writeFile(path.join(outDir, 'metafile.json'), JSON.stringify(metafile))
  return { proxy: path.join(outDir, 'proxy.mjs'), gateway: path.join(outDir, 'gateway.mjs'), metafile }
}

if (import.meta.main) {
  const { metafile } = await bundleProxies({ outDir: path.join(import.meta.dirname, '../../dist') })
  for (const [file, { bytes }] of Object.entries(metafile.outputs)) process.stdout.write(`${String(bytes).padStart(9)} ${file}\n`)
}
