import { fieldHead, stringField } from '#api/serve/protobuf.ts'

export const FRAME_HEAD = 5

/** A gRPC message made of parts. */
export function framed(parts: readonly Uint8Array[]): Buffer {
  const head = Buffer.alloc(FRAME_HEAD)
  head.writeUInt32BE(parts.reduce((sum, part) => sum + part.length, 0), 1)
  return Buffer.concat([head, ...parts])
}

/** A DeltaDiscoveryRequest for names, and with what is held from before, a version by name. */
export function subscription(type: string, names: readonly string[], held: readonly (readonly [string, string])[] = []): Uint8Array[] {
  const parts: Uint8Array[] = [stringField(2, type), ...names.map((name) => stringField(3, name))]
  for (const [name, version] of held) {
    const entry = Buffer.concat([stringField(1, name), stringField(2, version)])
    parts.push(fieldHead(5, entry.length), entry)
  }
  return parts
}
