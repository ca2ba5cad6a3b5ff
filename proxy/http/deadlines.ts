import { answers } from './answer.ts'
import type { Answer } from './answer.ts'
import type { Exchange } from './exchange.ts'

/**
 * Ends an exchange, or its present try, whose time is up. Deadlines are compared ten times a second for all exchanges under way, because timers of their own would cost every request one
 * that is cancelled again; so they are a tenth of a second late at the most.
 */
export function sweepDeadlines(exchange: Exchange, nowMs: number): void {
  const { forwarding, stack, engine } = exchange
  if (forwarding !== undefined) {
    if (forwarding.deadlineMs > 0 && nowMs >= forwarding.deadlineMs) return timedOut(exchange, answers.upstreamTimeout)
    if (forwarding.tryDeadlineMs > 0 && nowMs >= forwarding.tryDeadlineMs) return forwarding.tryTimedOut()
  }
  const restedMs = nowMs - exchange.lastActiveMs
  const idleMs = forwarding?.action.idleTimeoutMs ?? stack.plan.streamIdleTimeoutMs
  const stallMs = waitsForClient(exchange) ? engine.overload.limits.stallMs : 0
  if ((idleMs > 0 && restedMs >= idleMs) || (stallMs > 0 && restedMs >= stallMs)) timedOut(exchange, exchange.requestComplete ? answers.streamIdle : answers.requestTimeout)
}

/** It is the client's turn: to send the rest of its request, to which there is no answer yet, or to take what there is of one. Streams of gRPC rest when they like. */
const waitsForClient = ({ isGrpc, requestComplete, responseStarted, forwarding }: Exchange): boolean => !isGrpc && ((!requestComplete && !responseStarted) || forwarding?.upstreamPaused === true)

function timedOut(exchange: Exchange, answer: Answer): void {
  const { forwarding } = exchange
  if (!exchange.responseStarted) forwarding?.noteTimeout()
  forwarding?.release()
  exchange.giveUp(answer)
}
