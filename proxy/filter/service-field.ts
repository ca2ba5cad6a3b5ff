/** Hop-by-hop framing aside, what a field's name may be (RFC 9110 §5.1), and a value of one line. */
export const isField = (name: string, value: string): boolean => /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) && !/[\r\n\0]/.test(value)

/**
 * Text of a message as a field holds it: its UTF-8, a code unit for each byte. The wire takes a code unit's low byte alone, and U+010A would be a line feed there:
 * services pass on what users chose.
 */
export const wireText = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')
