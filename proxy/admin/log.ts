import type { Clock } from '#core/time/clock.ts'

export const logLevels = ['debug', 'info', 'warn', 'error', 'off'] as const
export type LogLevel = (typeof logLevels)[number]

type LogFields = Readonly<Record<string, unknown>>

/** Writes constant events; what varies is a field. `log.warn('xds.nack', { type, revision, faults })`. */
export interface Log {
  level: LogLevel
  debug(event: string, fields?: LogFields): void
  info(event: string, fields?: LogFields): void
  warn(event: string, fields?: LogFields): void
  error(event: string, fields?: LogFields): void
}

export const isLogLevel = (text: string): text is LogLevel => (logLevels as readonly string[]).includes(text)

/** One JSON object a line, `{"time","level","event",…}`, to `write`. */
export function jsonLog(clock: Clock, write: (line: string) => void, level: LogLevel = 'info'): Log {
  const emit = (at: LogLevel, event: string, fields: LogFields | undefined): void => {
    if (logLevels.indexOf(at) < logLevels.indexOf(log.level)) return
    write(`${JSON.stringify({ time: new Date(clock.wallMs()).toISOString(), level: at, event, ...fields })}\n`)
  }
  const log: Log = {
    level,
    debug: (event, fields) => emit('debug', event, fields),
    info: (event, fields) => emit('info', event, fields),
    warn: (event, fields) => emit('warn', event, fields),
    error: (event, fields) => emit('error', event, fields),
  }
  return log
}

/** An error in words, with what caused it. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message : `${error.message}: ${describeError(error.cause)}`
}
