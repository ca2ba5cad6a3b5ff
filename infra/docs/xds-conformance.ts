/** `node infra/docs/xds-conformance.ts`: writes docs/reference/xds-conformance.md from the titles of tests. A test says when it is due. */
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import path from 'node:path'

const root = fileURLToPath(new URL('../../', import.meta.url))
export const PAGE_FILE = path.join(root, 'docs/reference/xds-conformance.md')

interface Rule {
  readonly text: string
  /** Shown on the binary: the oldest and the newest Envoy that Weft drives. */
  readonly envoy?: true
}

/** What discovery promises; the numbers are those in the titles of tests and in comments (`xds-rules N`). */
export const rules: readonly Rule[] = [
  { text: 'One stream, one node: from the first request; later ones may omit or repeat it, at no cost, and not change it (INVALID_ARGUMENT).' },
  { text: 'The certificate or token decides and the node only asks: PERMISSION_DENIED where they contradict, UNAUTHENTICATED without, INVALID_ARGUMENT without a node; expiry ends the stream.' },
  { text: 'A type that is not served is answered with nothing and harms no other.' },
  { text: 'Closing has a reason: UNAVAILABLE at shutdown, RESOURCE_EXHAUSTED over a limit, INVALID_ARGUMENT for a bad first message; traffic goes on.', envoy: true },
  { text: 'Nonces are unique within a stream; versions are hashes of content and outlive it, so a reconnect to another replica is sent nothing.' },
  { text: 'SotW acts on the newest nonce alone, names included; in delta a nonce only pairs an answer with its response.' },
  { text: 'error_detail is the only sign of a NACK.' },
  { text: 'An ACK is not a question.' },
  { text: 'A NACK is not a question either: what was refused does not come again before it changes.' },
  { text: 'A NACK does not mean that nothing was applied: the good resources count as sent, later changes go out.', envoy: true },
  { text: 'Versions on a new SotW stream prove nothing: the first request is answered in full.' },
  { text: 'The wildcard by `*` or, in a first request, by no names; it is a flag apart from names.' },
  { text: 'A name subscribed again is sent again.' },
  { text: 'A first delta request is sent what differs from initial_resource_versions; endpoints in full; a wildcard at least an empty answer.', envoy: true },
  { text: 'Unsubscribing is silent, but for a name that a wildcard still covers.' },
  { text: 'SotW: listeners, clusters and scopes as full sets, all others only what changed.' },
  { text: 'Delta: no resource twice in a response, none both changed and removed.' },
  { text: 'A subscription outlives absence.' },
  { text: 'What is not there: an empty RouteConfiguration or ClusterLoadAssignment, never removed routes; a removal for secrets.', envoy: true },
  { text: 'A cluster is followed at once by its endpoints.', envoy: true },
  { text: 'Make before break: clusters, endpoints, secrets, extensions, listeners, scopes, routes, virtual hosts; clusters leave once nothing points at them.', envoy: true },
  { text: 'Removing costs what it removes.', envoy: true },
  { text: 'Clusters are stable to the byte; a change of one renews its connections alone.', envoy: true },
  { text: 'Delta responses stay below 1 MiB; requests up to 16 MiB are taken.' },
  { text: 'One response in flight a type and stream; what comes meanwhile merges; a slow client delays nobody, holds bounded memory, and is sent it again after 30 s.' },
  { text: 'Fair shares: the first change leaves in the next turn, newly connected streams have a small share of each, endpoints go first.' },
  { text: 'A time to live goes to clients that ask for it, with heartbeats that are no updates.', envoy: true },
  { text: 'Private keys go to their owner only; secrets have no wildcard.' },
  { text: 'What the server says that it sent is what it sent: SYNCED, STALE, REJECTED, NOT_SENT.' },
  { text: 'REST by long polling, answered on change alone and without ADS; the sums of load reports are the requests sent.', envoy: true },
]

export interface Proof {
  readonly rule: number
  readonly title: string
  readonly file: string
  /** Runs on each stock Envoy. */
  readonly envoy: boolean
}

/** Every test whose title names a rule. */
export function proofs(): Proof[] {
  const files = globSync('{api,test,core,proxy}/**/*.test.ts', { cwd: root }).sort()
  return files.flatMap((file) =>
    [...readFileSync(path.join(root, file), 'utf8').matchAll(/^( *)test\(\s*(['"`])(rules? (\d+(?:(?:, | and )\d+)*)[^\n]*?)\2, /gm)].flatMap(([, indent = '', , title = '', numbers = '']) =>
      numbers.match(/\d+/g)?.map((rule) => ({ rule: Number(rule), title: title.replace(/^rules? [^:]+: /, '').replace(' ${version}', ''), file, envoy: indent !== '' && file.startsWith('test/peers/') })) ?? [],
    ),
  )
}

const cell = (text: string): string => text.replaceAll('|', '\\|')

/** The text of the page. */
export function pageText(): string {
  const found = proofs()
  const rows = rules.map(({ text }, at) => {
    const shown = found.filter(({ rule }) => rule === at + 1).map(({ title, file, envoy }) => `${envoy ? '**Envoy:** ' : ''}[${cell(title)}](../../${file})`)
    return `| ${at + 1} | ${cell(text)} | ${shown.join('<br>')} |`
  })
  return `${head}\n| | rule | shown by |\n| --- | --- | --- |\n${rows.join('\n')}\n`
}

const head = `# The xDS protocol, rule by rule

Generated by \`node infra/docs/xds-conformance.ts\`. Comments in \`api/serve\` name these rules as \`xds-rules N\`. What is marked **Envoy** runs on the stock binary, the oldest and the newest that Weft drives;
everything else is shown by a client that speaks the messages itself.

## What is offered

State of the world and incremental, aggregated (ADS) and by each type's own service: LDS, RDS, SRDS, CDS, EDS, SDS, ECDS, RTDS; VHDS incremental alone, as its protocol has it, with aliases and on demand.
\`POST /v3/discovery:KIND\` by long polling. Load reporting (LRS), client status for operators (CSDS), times to live with heartbeats.

A client owes an answer (ACK or NACK) to every response. While it owes one, what changes of that type waits and merges; what it asks for by name or by \`*\` does not wait (incremental; in state of the world
a request with the newest nonce is the answer; one without a nonce, once all is answered, begins the type anew, as gRPC in Java does). Whoever has no more to say (half-closes) is answered what it asked before the call ends with OK. Over a limit a call ends with RESOURCE_EXHAUSTED and
\`grpc-retry-pushback-ms\`; a poll with 429 or 503 and \`Retry-After\`. Messages are taken uncompressed; what is answered to others says so (UNIMPLEMENTED, \`grpc-accept-encoding\`). Neither \`grpc.health.v1\` nor reflection is offered.

Types besides these are answered with nothing. \`*\` means everything for listeners, clusters, scopes and virtual hosts, and nothing for other types. Virtual hosts with aliases are sent to whoever asks for
one and not listed under the wildcard; to a host that nobody serves the answer is a resource without content, which Envoy's filter \`on_demand\` takes for a 404 at once. An Envoy whose RouteConfiguration has no
virtual host of its own waits for \`initial_fetch_timeout\` of its VHDS source before it opens the listener: keep that short.

Clusters are served on demand too (ODCDS, \`test/peers/on-demand.test.ts\`): whoever asks by names gets these alone, and for one that nobody has a removal at once, so that the request fails and does not wait. Envoy asks for a
name once; what comes of it later is sent unasked. Give \`odcds\` the source \`ads\`: over a stream of its own Envoy 1.36 takes no name but the first, and endpoints that come over another stream cannot follow a changed cluster.

A mesh has nothing to say of an Envoy's runtime. To a layer that is asked for (RTDS) the answer is an empty one of that name, for Envoy asks for nothing else before it has all its layers (\`test/peers/runtime.test.ts\`).

## To judge the protocol from outside

\`\`\`
weft server --xds-conformance [--xds-port 18000] [--rest-port 17000]
\`\`\`

runs the discovery server alone, with what a test states in the place of a mesh: loopback, plaintext, no credentials, no database. It prints both ports as one line of JSON. Resources are opaque: a type, a name,
a version, bytes. Every node id has a state of its own, empty until something is stated for it. Version texts are the test's own: they are each resource's version in incremental responses, and
\`version_info\` (or \`system_version_info\`) of the type's responses.

On the REST port, JSON:

| request | body | |
| --- | --- | --- |
| \`POST /set\` | \`node\`, \`version\`, \`resources\`: \`type\`, \`name\`, \`value\`, and \`version\`, \`ttlMs\`, \`aliases\` where wanted | the node's whole state; what is not in it is removed |
| \`POST /add\`, \`POST /update\` | \`node\`, \`type\`, \`name\`, \`version\`, and \`value\`, \`ttlMs\`, \`aliases\` where wanted | one resource; without \`value\` it keeps its content and has a new version |
| \`POST /remove\` | \`node\`, \`type\`, \`name\`, and \`version\` where wanted | |
| \`POST /clear\` | \`node\` | nothing is left |
| \`GET /proxies\` | | where each stream stands, per type |
| \`GET /loads\` | | all reports of load, by node |
| \`POST /v3/discovery:KIND\` | a DiscoveryRequest | long polling |

\`value\` is the encoded message in base64; left out, a message that holds the name alone. \`type\` is the full type URL.

On the xDS port, beside discovery, the same as gRPC: \`adapter.Adapter\` with \`SetState\` (node 1, version 2, resources 3 as Any, named by their first field), \`ClearState\` (node 1), \`UpdateResource\`,
\`AddResource\` and \`RemoveResource\` (node 1, type URL 2, name 3, version 4, and an Any 5 where a content is wanted). In the same process: \`startConformance\` of \`api/serve/conformance.ts\` over a \`NodeStates\`.

## Rules
`

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) writeFileSync(PAGE_FILE, pageText())
