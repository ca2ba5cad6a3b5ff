import { DEFAULT_WINDOW, ENABLE_CONNECT_PROTOCOL, ENABLE_PUSH, FLOW_CONTROL_ERROR, FRAME_BYTES, HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE, NO_ERROR, PROTOCOL_ERROR, WINDOW_MAX } from './frames.ts'

/** What the peer said of itself (RFC 9113 §6.5.2); its defaults until it did. */
export class PeerSettings {
  headerTableBytes = 4096
  concurrentStreamsMax = WINDOW_MAX
  initialWindow = DEFAULT_WINDOW
  frameBytesMax = FRAME_BYTES
  extendedConnect = false

  /** Takes one setting; answers an error code, NO_ERROR when it is good. Unknown ones are ignored. */
  apply(id: number, value: number, peerIsServer: boolean): number {
    switch (id) {
      case HEADER_TABLE_SIZE:
        this.headerTableBytes = value
        return NO_ERROR
      case ENABLE_PUSH:
        // A server must not say 1.
        return value > (peerIsServer ? 0 : 1) ? PROTOCOL_ERROR : NO_ERROR
      case MAX_CONCURRENT_STREAMS:
        this.concurrentStreamsMax = value
        return NO_ERROR
      case INITIAL_WINDOW_SIZE:
        if (value > WINDOW_MAX) return FLOW_CONTROL_ERROR
        this.initialWindow = value
        return NO_ERROR
      case MAX_FRAME_SIZE:
        if (value < FRAME_BYTES || value > 0xffffff) return PROTOCOL_ERROR
        this.frameBytesMax = value
        return NO_ERROR
      case ENABLE_CONNECT_PROTOCOL:
        if (value > 1 || (value === 0 && this.extendedConnect)) return PROTOCOL_ERROR
        this.extendedConnect = value === 1
        return NO_ERROR
      default:
        return NO_ERROR
    }
  }
}

/** What we say of ourselves. */
export interface OwnSettings {
  /** How much a stream may send before we took it. */
  readonly streamWindow: number
  /** The same for all streams of a connection. */
  readonly connectionWindow: number
  /** Streams that the peer may have open. */
  readonly concurrentStreamsMax: number
  /** RFC 9113 §6.5.2: names, values and 32 bytes a field. */
  readonly headerBytesMax: number
}

/** The payload of the SETTINGS that we begin with. */
export function settingsPayload(own: OwnSettings, isServer: boolean): Buffer {
  const pairs: readonly (readonly [number, number])[] = [
    [INITIAL_WINDOW_SIZE, own.streamWindow],
    [MAX_HEADER_LIST_SIZE, own.headerBytesMax],
    ...(isServer ? ([[MAX_CONCURRENT_STREAMS, own.concurrentStreamsMax], [ENABLE_CONNECT_PROTOCOL, 1]] as const) : ([[ENABLE_PUSH, 0]] as const)),
  ]
  const payload = Buffer.alloc(6 * pairs.length)
  for (const [at, [id, value]] of pairs.entries()) {
    payload.writeUInt16BE(id, 6 * at)
    payload.writeUInt32BE(value, 6 * at + 2)
  }
  return payload
}
