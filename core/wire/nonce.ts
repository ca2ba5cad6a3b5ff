/** What follows the number in the nonce of a part that is not the last. */
const MORE = '+'

/**
 * A nonce is opaque to every client (xDS protocol, "ACK/NACK and resource type instance version"), so it can tell Weft's own sidecar what the protocol has no word for:
 * that this response is a part, and that more of what was asked for follows. A proxy that took the first part for the whole would call itself ready before it knows every host.
 */
export const nonceText = (number: number, more: boolean): string => `${number}${more ? MORE : ''}`

export const numberOfNonce = (text: string): number => Number.parseInt(text, 10) || 0

/** Whether more parts follow. */
export const hasMore = (text: string): boolean => text.endsWith(MORE)
