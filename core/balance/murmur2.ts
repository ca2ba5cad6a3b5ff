const MASK = 0xffffffffffffffffn
const M = 0xc6a4a7935bd1e995n
/** The seed of libstdc++'s `std::hash`, which Envoy's MURMUR_HASH_2 rings use. */
const STD_HASH_SEED = 0xc70f6907n

/** MurmurHash2, 64-bit variant A (Austin Appleby), of text with one byte a character: `hash_function: MURMUR_HASH_2` of a ring, for rings that must equal older ones. */
export function murmurHash2(text: string, seed = STD_HASH_SEED): bigint {
  const bytes = new Uint8Array(text.length)
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at)
  const view = new DataView(bytes.buffer)
  const whole = bytes.length - (bytes.length % 8)
  let hash = (seed ^ (BigInt(bytes.length) * M)) & MASK
  for (let at = 0; at < whole; at += 8) hash = ((hash ^ mix((view.getBigUint64(at, true) * M) & MASK, M)) * M) & MASK
  if (whole < bytes.length) {
    let rest = 0n
    for (let at = bytes.length - 1; at >= whole; at--) rest = (rest << 8n) | BigInt(bytes[at] ?? 0)
    hash = ((hash ^ rest) * M) & MASK
  }
  hash = mix(hash, M)
  return hash ^ (hash >> 47n)
}

function mix(value: bigint, by: bigint): bigint {
  return ((value ^ (value >> 47n)) * by) & MASK
}
