import type { MeshReader } from '#api/model/mesh-reader.ts'
import { duration, durationOf } from './message.ts'

/**
 * What is waited where the mesh does not say: at an undeclared port of the other side, whose server may speak first; at one's own, the same with a slow handshake;
 * and where clients are said to speak first, for ever: who opens connections before they are needed is not taken for one who waits.
 */
export const DETECTION = { undeclared: '5s', inbound: '10s', declared: '0s' } as const

/** `protocolDetectionTimeout` of the MeshConfig, or `unsaid`. */
export const detectionTimeout = (reader: MeshReader, unsaid: string): string => reader.meshConfig().protocolDetectionTimeout ?? unsaid

/** How long a listener looks at what comes first; a connection that says nothing until then is served by what takes plaintext of any kind. 0s: for ever. */
export const detects = (timeout: string) => ({ listenerFiltersTimeout: timeout === '0s' ? duration(0) : durationOf(timeout), continueOnListenerFiltersTimeout: true })
