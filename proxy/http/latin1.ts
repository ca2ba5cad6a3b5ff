type Slice = (this: Uint8Array, start: number, end: number) => string

/** What `buffer.toString('latin1', …)` calls in the end; not in Node's documentation, so looked for. */
const found: unknown = Reflect.get(Buffer.prototype, 'latin1Slice')
const slice = (typeof found === 'function' ? found : function (this: Buffer, start: number, end: number) {
  return this.toString('latin1', start, end)
}) as Slice

/** `bytes[start, end)` as text, a character a byte. Three times a request, at half of what `toString` takes for a head. */
export const latin1Text = (bytes: Uint8Array, start: number, end: number): string => slice.call(bytes, start, end)
