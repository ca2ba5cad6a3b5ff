const ASCII = /^[\x20-\x7e\t]*$/
const encoder = new TextEncoder()

/**
 * Text as the wire takes it: its UTF-8, a code unit for each byte. Sockets write the low byte of a code unit and nothing else, so that U+010A would be a line feed there,
 * and any text beyond Latin 1 another one.
 */
export function wireText(text: string): string {
  if (ASCII.test(text)) return text
  let bytes = ''
  for (const byte of encoder.encode(text)) bytes += String.fromCharCode(byte)
  return bytes
}
