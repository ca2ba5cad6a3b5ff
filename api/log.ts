/** Log lines are an interface: a constant event, all that varies in fields, never a secret. `docs/events.md` lists the events. */
export interface Log {
  debug(event: string, fields?: LogFields): void
  info(event: string, fields?: LogFields): void
  warn(event: string, fields?: LogFields): void
  error(event: string, fields?: LogFields): void
}

type LogFields = Readonly<Record<string, string | number | boolean | null | undefined | readonly string[]>>

export const logLevels = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof logLevels)[number]

/** JSON lines: `{"at":…,"level":"info","event":"registry.joined",…}`. */
export function jsonLog(write: (line: string) => void, wallMs: () => number, least: LogLevel): Log {
  const at = (level: LogLevel) => (event: string, fields?: LogFields) => {
    if (logLevels.indexOf(level) >= logLevels.indexOf(least)) write(`${JSON.stringify({ at: new Date(wallMs()).toISOString(), level, event, ...fields })}\n`)
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}
