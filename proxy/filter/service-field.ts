/** Hop-by-hop framing aside, what a field's name may be (RFC 9110 §5.1), and a value of one line. */
export const isField = (name: string, value: string): boolean => /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) && !/[\r\n\0]/.test(value)
