/** A message as it goes over TCP: its length, then itself (RFC 1035 §4.2.2). */
export function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(message.length)
  return Buffer.concat([length, message])
}

/** Takes a connection's bytes as they come, and hands on each message that is whole. What is held is one message at most, 64 KiB. */
export function messagesIn(each: (message: Buffer) => void): (chunk: Buffer) => void {
  let held: Buffer = Buffer.alloc(0)
  return (chunk) => {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    while (held.length >= 2) {
      const end = 2 + held.readUInt16BE(0)
      if (held.length < end) return
      each(held.subarray(2, end))
      held = held.subarray(end)
    }
  }
}
