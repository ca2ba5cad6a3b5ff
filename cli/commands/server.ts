import { pathToFileURL } from 'node:url'
import { builtParts } from '#infra/build/parts.ts'
import type { ExitCode } from '../exit-codes.ts'

export const usage = `weft server [--database URL] [--data DIR] [--address IP] [--rest-port N] [--xds-port N] [--monitoring-port N] [--xds-name NAME …] [--public-url URL]
            [--root-file FILE] [--log-level LEVEL] [--replica] [--oidc-issuer URL --oidc-client-id ID] [--oidc-private-networks]
            [--trusted-proxies CIDR,…] [--module-private-networks]

Runs the control plane. Each flag is also a variable: --rest-port is WEFT_REST_PORT. WEFT_SEAL_KEY (base64, 32 bytes) seals secrets at rest; without it a key is kept
in the data folder. WEFT_BOOTSTRAP_KEY is the key that may create organizations. --root-file: where to write the root that proxies verify the xDS port with.
--replica: other control planes share this database. --trusted-proxies: balancers before REST, whose X-Forwarded-For says where a request comes from, for limits and the audit log. --oidc-issuer: the identity provider of organizations that have none of their own; WEFT_OIDC_CLIENT_SECRET is
the client's secret. --oidc-private-networks: providers of organizations may lie within private networks, and be asked by HTTP.
--module-private-networks: Wasm modules of plugins may be fetched from private networks and this machine, and by HTTP. WEFT_ACME_DIRECTORIES (URLs, separated by
commas; Let's Encrypt's by default): the authorities of which Gateways may ask certificates; WEFT_ACME_ROOTS is a file with the roots of private ones.

weft server --xds-conformance [--xds-port N] [--rest-port N]: only the discovery server, on loopback and without credentials, over states that a test fills by hand
(docs/reference/xds-conformance.md).`

/** Runs the newest build of the control plane: `cli/up/serve.ts`. */
export async function run(args: string[]): Promise<ExitCode> {
  const parts = await builtParts()
  const { serve } = (await import(pathToFileURL(parts.server).href)) as typeof import('../up/serve.ts')
  return serve(args, parts.consoleDir)
}
