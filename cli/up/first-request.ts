import { readFileSync } from 'node:fs'
import https from 'node:https'

/** One request through the gateway, as anybody outside makes it. Answers its status; tries until there is one, for 15 s. */
export async function firstRequest(port: number, caFile: string): Promise<number> {
  const ca = readFileSync(caFile)
  const deadline = performance.now() + 15_000
  for (;;) {
    try {
      const status = await requestOnce(port, ca)
      if (status < 500 || performance.now() > deadline) return status
    } catch (error) {
      if (performance.now() > deadline) throw new Error(`the gateway does not answer: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

const requestOnce = (port: number, ca: Buffer): Promise<number> =>
  new Promise((resolve, reject) => {
    const request = https.get({ host: '127.0.0.1', port, path: '/orders', servername: 'api.example.com', headers: { host: 'api.example.com' }, ca, agent: false, timeout: 5000 }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode ?? 0))
      response.on('error', reject)
    })
    request.on('timeout', () => request.destroy(new Error('no answer within 5 s')))
    request.on('error', reject)
  })
