import { styleText } from 'node:util'
import type { Topology } from '#core/contract/topology.ts'
import { formatTable } from '../table.ts'

const rate = (value: number): string => (value >= 10 ? value.toFixed(0) : value.toFixed(1))
const percent = (share: number | null): string => (share === null ? '-' : `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`)
const millis = (value: number | null): string => (value === null ? '-' : `${value.toFixed(value < 10 ? 1 : 0)} ms`)

/** The traffic by version, a line for each way that requests take. */
function trafficTable(topology: Topology): string {
  const names = new Map(topology.nodes.map((node) => [node.id, node.name]))
  const totals = new Map<string, number>()
  for (const edge of topology.edges) totals.set(`${edge.from} ${edge.to}`, (totals.get(`${edge.from} ${edge.to}`) ?? 0) + edge.requestsPerSecond)
  const rows = topology.edges
    .filter((edge) => edge.requestsPerSecond > 0)
    .sort((a, b) => `${a.from} ${a.to} ${a.version}`.localeCompare(`${b.from} ${b.to} ${b.version}`))
    .map((edge) => [
      names.get(edge.from) ?? edge.from,
      names.get(edge.to) ?? edge.to,
      edge.version || '-',
      rate(edge.requestsPerSecond),
      percent(edge.requestsPerSecond / (totals.get(`${edge.from} ${edge.to}`) ?? 1)),
      percent(edge.errorShare),
      millis(edge.p50Ms),
      millis(edge.p99Ms),
      edge.mutualTlsShare === null ? '-' : edge.mutualTlsShare === 1 ? 'yes' : percent(edge.mutualTlsShare),
    ])
  return formatTable(['FROM', 'TO', 'VERSION', 'REQ/S', 'SHARE', 'ERRORS', 'P50', 'P99', 'MTLS'], rows)
}

/** Redraws a block of lines in place at the bottom of a terminal. */
class LiveBlock {
  readonly #out: NodeJS.WriteStream
  /** Lengths of the lines that stand there. */
  #drawn: readonly number[] = []

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
  }

  /** Cut to the terminal's width, and to its height less the line of the cursor. The first line is a heading. */
  draw(text: string): void {
    const { columns = 100, rows = 40 } = this.#out
    const lines = text.split('\n').slice(0, Math.max(1, rows - 1)).map((line) => line.slice(0, columns))
    // A terminal that has become narrower since has wrapped what stood there.
    const height = this.#drawn.reduce((sum, length) => sum + Math.max(1, Math.ceil(length / columns)), 0)
    const up = height > 0 ? `\u001B[${height}A\r\u001B[J` : ''
    this.#out.write(`${up}${lines.map((line, index) => (index === 0 ? styleText('dim', line, { stream: this.#out }) : line)).join('\n')}\n`)
    this.#drawn = lines.map((line) => line.length)
  }

  /** The next draw starts below what was written meanwhile. */
  release(): void {
    this.#drawn = []
  }
}

/**
 * A live table on a terminal; elsewhere silence. Ends when `ended` does.
 * @param interrupted calls back before anything else is written to the terminal
 */
export async function showTraffic(topology: () => Promise<Topology>, ended: Promise<void>, interrupted: (callback: () => void) => void): Promise<void> {
  if (!process.stdout.isTTY) return ended
  const block = new LiveBlock(process.stdout)
  interrupted(() => block.release())
  const timer = setInterval(() => {
    topology().then(
      (now) => {
        if (now.edges.length > 0) block.draw(trafficTable(now))
      },
      // The database is away or going: what stands there stays until there is news.
      () => {},
    )
  }, 1000)
  await ended
  clearInterval(timer)
}
