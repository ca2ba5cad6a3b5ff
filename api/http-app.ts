import { Hono } from 'hono'
import { kubeApi } from './kube/app.ts'
import { restApi } from './rest/app.ts'
import { discoveryApp } from './discovery-app.ts'
import type { LongPoll } from './serve/long-poll.ts'
import type { ApiDoors } from './rest/doors.ts'

export interface ConsoleFiles {
  readonly files: ReadonlyMap<string, { readonly bytes: Uint8Array; readonly contentType: string; readonly immutable: boolean }>
  readonly policy: string
}

/** All that the REST port answers: `/api/v1`, `/k8s/ORGANIZATION/MESH`, `/v3/discovery:…`, and the console at `/`. */
export function httpApp(doors: ApiDoors, console: ConsoleFiles | undefined, longPoll?: LongPoll): Hono {
  const app = new Hono()
  app.route('/', kubeApi(doors))
  app.route('/', restApi(doors))
  if (longPoll) app.route('/', discoveryApp(longPoll, doors.turnedAway))
  if (console) {
    app.get('/*', (c) => {
      const found = console.files.get(c.req.path)
      if (!found) return c.notFound()
      return c.body(Buffer.from(found.bytes), 200, {
        'content-type': found.contentType,
        'cache-control': found.immutable ? 'public, max-age=31536000, immutable' : 'no-cache',
        'content-security-policy': console.policy,
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
      })
    })
  }
  return app
}
