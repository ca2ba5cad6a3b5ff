/** One event of a stream of server-sent events. */
interface ServerEvent {
  readonly type: string
  readonly data: string
}

export interface EventParser {
  /** Takes the next piece of text, cut anywhere, and answers the events that it completes. */
  push(text: string): ServerEvent[]
  /** The newest id the server gave, to resume from; empty when it gave none. */
  lastEventId(): string
  /** Milliseconds the server asked clients to wait before they come back; undefined when it did not. */
  retryMs(): number | undefined
}

/**
 * Reads text/event-stream (WHATWG HTML §9.2.6). The browser's own EventSource cannot send an Authorization header, and a key does not belong into a URL,
 * so the page reads the stream through fetch.
 */
export function eventParser(): EventParser {
  let rest = ''
  let type = ''
  let data: string[] = []
  let id = ''
  let retry: number | undefined
  let afterReturn = false

  const line = (text: string, events: ServerEvent[]): void => {
    if (text === '') {
      if (data.length > 0) events.push({ type: type === '' ? 'message' : type, data: data.join('\n') })
      type = ''
      data = []
      return
    }
    if (text.startsWith(':')) return
    const colon = text.indexOf(':')
    const field = colon < 0 ? text : text.slice(0, colon)
    const value = colon < 0 ? '' : text.slice(colon + 1).replace(/^ /, '')
    if (field === 'event') type = value
    else if (field === 'data') data.push(value)
    else if (field === 'id' && !value.includes('\0')) id = value
    else if (field === 'retry' && /^\d+$/.test(value)) retry = Number(value)
  }

  return {
    push(text) {
      const events: ServerEvent[] = []
      // A CR may end one piece and its LF begin the next: that is one line end.
      const fresh = afterReturn && text.startsWith('\n') ? text.slice(1) : text
      if (text !== '') afterReturn = text.endsWith('\r')
      rest += fresh
      const lines = rest.split(/\r\n|\r|\n/)
      rest = lines.pop() ?? ''
      for (const one of lines) line(one, events)
      return events
    },
    lastEventId: () => id,
    retryMs: () => retry,
  }
}
