import { status } from '@grpc/grpc-js'
import { Hono } from 'hono'
import { fault, Faults } from '#core/fault/fault.ts'
import { bearerOf } from './access/check.ts'
import type { TurnedAway } from './access/turned-away.ts'
import { boundedBody } from './kube/request.ts'
import { problemOf } from './rest/problem.ts'
import { CallRefused } from './serve/credentials.ts'
import { type LongPoll, pollKinds } from './serve/long-poll.ts'
import { TurnstileFull } from './serve/turnstile.ts'

const httpStatus: ReadonlyMap<status, 400 | 401 | 403> = new Map([
  [status.UNAUTHENTICATED, 401],
  [status.PERMISSION_DENIED, 403],
])

/** `POST /v3/discovery:KIND` for proxies that poll: a DiscoveryRequest in JSON with a join token as bearer; 200 on news, 304 when there is none for a while, 503 from a replica that is going away. */
export function discoveryApp(longPoll: LongPoll, turnedAway?: TurnedAway): Hono {
  const app = new Hono()
  app.post('/v3/:method', async (context) => {
    const type = pollKinds.get(/^discovery:(.+)$/.exec(context.req.param('method'))?.[1] ?? '')
    if (type === undefined) return context.notFound()
    try {
      const answer = await longPoll.poll({ type, body: () => jsonOf(context.req.raw), bearer: bearerOf(context.req.header('authorization')), signal: context.req.raw.signal })
      return answer === undefined ? context.body(null, 304) : context.body(JSON.stringify(answer), 200, { 'content-type': 'application/json', 'cache-control': 'no-store' })
    } catch (error) {
      if (error instanceof CallRefused && error.code === status.UNAVAILABLE) return context.json({ title: error.message, status: 503 }, 503, { 'retry-after': '1' })
      if (error instanceof CallRefused) return context.json({ title: error.message, status: httpStatus.get(error.code) ?? 400 }, httpStatus.get(error.code) ?? 400)
      if (error instanceof TurnstileFull) return context.json({ title: 'more proxies begin here at once than this replica can have wait', status: 503 }, 503, { 'retry-after': '5' })
      const problem = problemOf(error)
      if (problem === undefined) throw error
      if (problem.status === 429) turnedAway?.add('discovery')
      return new Response(JSON.stringify(problem), { status: problem.status, headers: { 'content-type': 'application/problem+json', ...(problem.status === 503 || problem.status === 429 ? { 'retry-after': '1' } : {}) } })
    }
  })
  return app
}

async function jsonOf(request: Request): Promise<unknown> {
  try {
    return JSON.parse((await boundedBody(request)).toString('utf8'))
  } catch (error) {
    if (error instanceof Faults) throw error
    throw new Faults([fault('request.invalid', { path: '', rule: 'JSON that can be read' })])
  }
}
