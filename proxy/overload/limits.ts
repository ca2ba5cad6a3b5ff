/** What one proxy takes upon itself at most, as Envoy's overload manager has it. 0: no bound. */
export interface Limits {
  /** Clients' connections, all listeners together (`WEFT_CONNECTIONS_MAX`). */
  readonly connectionsMax: number
  /** Of one client address, or of one /64 of IPv6 (`WEFT_ADDRESS_CONNECTIONS_MAX`). */
  readonly addressConnectionsMax: number
  /** Requests under way (`WEFT_REQUESTS_MAX`). */
  readonly requestsMax: number
  /** Resident bytes of the process beyond which requests are shed (`WEFT_MEMORY_MAX_MB`). */
  readonly memoryBytesMax: number
  /** How long a client may neither send the rest of its request nor take its answer (`WEFT_STALL_SECONDS`). Streams of gRPC and upgraded connections may rest as long as they like. */
  readonly stallMs: number
}

export const noLimits: Limits = { connectionsMax: 0, addressConnectionsMax: 0, requestsMax: 0, memoryBytesMax: 0, stallMs: 0 }
