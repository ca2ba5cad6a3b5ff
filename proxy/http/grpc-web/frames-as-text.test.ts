import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FramesAsText } from './frames-as-text.ts'

const frame = (message: Uint8Array, flag = 0): Buffer => {
  const prefix = Buffer.alloc(5)
  prefix[0] = flag
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}

test('each message is padded at its own end, however the stream is cut into pieces', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 }), fc.array(fc.nat(11), { maxLength: 80 }), (messages, sizes) => {
      const writer = new FramesAsText()
      const frames = messages.map((one) => frame(one))
      const bytes = Buffer.concat(frames)
      let text = ''
      let at = 0
      for (const size of [...sizes, bytes.length]) {
        const end = Math.min(bytes.length, at + size)
        text += writer.push(bytes, at, end).toString()
        at = end
      }
      assert.equal(text + writer.end().toString(), frames.map((one) => one.toString('base64')).join(''))
    }),
  )
})

test('all but two bytes of a message that has not ended are said, and the rest when the stream breaks off', () => {
  const writer = new FramesAsText()
  const bytes = frame(Buffer.alloc(1000, 7))
  assert.equal(writer.push(bytes, 0, 503).length, 668)
  assert.equal(Buffer.from(writer.push(bytes, 503, 504).toString() + writer.end().toString(), 'base64').length, 3)
})
