import { answers } from './answer.ts'
import type { Answer } from './answer.ts'
import type { Exchange } from './exchange.ts'
import type { UpstreamLoss } from './sides.ts'

/** Envoy's words, flag and answer for why an upstream was lost. */
interface Loss {
  readonly words: string
  /** Where the answer had begun. */
  readonly flag: string
  readonly answer: Answer
}

export const losses: Readonly<Record<UpstreamLoss, Loss>> = {
  reset: { words: 'connection_termination', flag: 'UC', answer: answers.connectionTermination },
  protocol: { words: 'protocol_error', flag: 'UPE', answer: answers.protocolError },
  remote: { words: 'remote_reset', flag: 'UR', answer: answers.remoteReset },
  refused: { words: 'remote_refused_stream_reset', flag: 'UR', answer: answers.refusedStream },
  connect: { words: 'remote_error_with_CONNECT_request', flag: 'UR', answer: answers.connectError },
}

/** The last try's end, as its client reads it. */
export const lastWords = (answer: Answer, attempts: number): Answer => (attempts > 1 ? { ...answer, body: answer.body.replace('reset reason', 'retried and the latest reset reason') } : answer)

/** Half an answer cannot be taken back: its client learns by the broken connection. */
export function breakOff(exchange: Exchange, why: UpstreamLoss): void {
  exchange.addFlag(losses[why].flag)
  exchange.details = `upstream_reset_after_response_started{${losses[why].words}}`
  exchange.finish()
  exchange.connection.fail()
}
