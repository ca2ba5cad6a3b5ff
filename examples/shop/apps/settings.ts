/** What a workload of the shop is told by its environment. */
export interface Settings {
  readonly address: string
  readonly port: number
  readonly version: string
  /** The sidecar's outbound port, `http://HOST:PORT`: where calls to other services go. */
  readonly outbound: URL
}

export function readSettings(): Settings {
  const required = (name: string): string => {
    const value = process.env[name]
    if (value === undefined || value === '') throw new Error(`${name} is not set`)
    return value
  }
  return {
    address: process.env['ADDRESS'] ?? '127.0.0.1',
    port: Number(process.env['PORT'] ?? 8080),
    version: process.env['VERSION'] ?? 'v1',
    outbound: new URL(required('HTTP_PROXY')),
  }
}
