import { z } from 'zod'
import { waitResponse } from '#core/contract/apply.ts'
import { fault, Faults } from '#core/fault/fault.ts'
import { durationNs } from '#core/resource/duration.ts'
import type { Held } from '../access/streams.ts'
import type { MeshEvent } from './doors.ts'
import { MESH, meshTarget } from './meshes.ts'
import type { RestRequest, Route } from './route.ts'

const WAIT_MAX_MS = 10 * 60_000
const waitQuery = z.object({ timeout: z.string().max(32).optional().describe('How long to wait, such as 30s (the default), 10m at most.') })
/** Events that may wait for a slow reader; it is cut beyond, and comes back to a fresh picture. */
const EVENTS_MAX = 64
/** Pictures of the topology that may wait for a slow reader. */
const PICTURES_WAITING_MAX = 2

export const proxyRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: `${MESH}/proxies`,
    summary: 'The proxies that are connected, and what each has acknowledged.',
    answers: { status: 200, schema: z.object({ items: z.array(z.looseObject({})), next: z.null(), faults: z.array(z.looseObject({})).describe('Objects that are kept from the proxies because they cannot be translated.') }) },
    async handle(request) {
      const { mesh } = await meshTarget(request, 'read')
      return { json: { items: request.doors.proxies(mesh.id), next: null, faults: request.doors.faults(mesh.id) } }
    },
  },
  {
    method: 'GET',
    path: `${MESH}/proxies/{proxy}/config`,
    summary: 'Everything that one proxy, NAME.NAMESPACE, was sent; secrets hidden.',
    answers: { status: 200, schema: z.looseObject({}) },
    async handle(request) {
      const { mesh } = await meshTarget(request, 'read')
      const config = await request.doors.proxyConfig(mesh.id, request.param('proxy'))
      if (config === undefined) throw new Faults([fault('object.not-found', { path: '', value: request.param('proxy'), rule: 'a proxy that is connected, NAME.NAMESPACE' })])
      return { json: config }
    },
  },
  {
    method: 'GET',
    path: `${MESH}/revisions/{revision}/wait`,
    summary: 'Answers when every concerned proxy has acknowledged the revision, or one refused it; 504 with the same body when the time is over.',
    query: waitQuery,
    answers: { status: 200, schema: waitResponse },
    async handle(request) {
      const { actor, mesh } = await meshTarget(request, 'read')
      const [revision, timeoutMs] = [revisionOf(request), timeoutOf(request)]
      const held = request.doors.streams?.hold(actor)
      try {
        const { timedOut, ...body } = await request.doors.whenSynced(mesh.id, revision, timeoutMs)
        return { status: timedOut ? 504 : 200, json: body }
      } finally {
        held?.release()
      }
    },
  },
  {
    method: 'GET',
    path: `${MESH}/events`,
    summary: 'Live events of the mesh (text/event-stream): topology, proxies, revision; a comment at least every 10 s.',
    answers: { status: 200, type: 'text/event-stream' },
    async handle(request) {
      const { actor, mesh } = await meshTarget(request, 'read')
      return eventStream((listener) => request.doors.follow(mesh.id, listener), request.doors.streams?.hold(actor))
    },
  },
]

function revisionOf(request: RestRequest): number {
  const text = request.param('revision')
  if (!/^\d{1,15}$/.test(text)) throw new Faults([fault('request.invalid', { path: 'revision', value: text, rule: 'a revision, a whole number' })])
  return Number(text)
}

function timeoutOf(request: RestRequest): number {
  const { timeout = '30s' } = request.query(waitQuery)
  const ns = durationNs(timeout)
  if (ns === undefined || ns < 0 || ns > WAIT_MAX_MS * 1e6) throw new Faults([fault('request.invalid', { path: 'timeout', value: timeout, rule: 'a duration such as 30s, 10m at most' })])
  return ns / 1e6
}

/** Each watcher is given the same event: it is written once for all of them. */
const written = new WeakMap<MeshEvent, Uint8Array>()
const encoder = new TextEncoder()

function bytesOf(event: MeshEvent): Uint8Array {
  const known = written.get(event)
  if (known) return known
  // A line that begins with a colon is a comment (HTML, "Server-sent events"): clients pass over it, and hear that the stream lives.
  const bytes = encoder.encode(event.event === 'heartbeat' ? ': \n\n' : `event: ${event.event}\ndata: ${JSON.stringify(event.data)}\n\n`)
  written.set(event, bytes)
  return bytes
}

/** @param held the stream's place among those of its key; it ends with the key */
function eventStream(follow: (listener: (event: MeshEvent) => void) => () => void, held: Held | undefined): Response {
  let stop = (): void => {}
  const stream = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        controller.enqueue(encoder.encode(': connected\n\n'))
        let open = true
        stop = () => {
          open = false
        }
        const unfollow = follow((event) => {
          if (!open) return
          const room = controller.desiredSize ?? 0
          // The next picture says all that this one does: a slow reader gets fewer of them, and none that is old.
          if (replaceable(event) && room < EVENTS_MAX - PICTURES_WAITING_MAX) return
          controller.enqueue(bytesOf(event))
          if (room > 1) return
          stop()
          controller.close()
        })
        const close = stop
        stop = () => {
          close()
          unfollow()
          held?.release()
        }
        if (!open) {
          stop()
          return
        }
        held?.signal.addEventListener('abort', () => {
          if (!open) return
          stop()
          controller.close()
        })
      },
      cancel: () => stop(),
    },
    { highWaterMark: EVENTS_MAX },
  )
  return new Response(stream, { headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' } })
}

const replaceable = (event: MeshEvent): boolean => event.event === 'topology' || event.event === 'heartbeat'
