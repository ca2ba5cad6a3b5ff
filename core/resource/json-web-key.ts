import { z } from 'zod'

const octets = () => z.string().regex(/^[A-Za-z0-9_\-+/]*={0,2}$/)

const described = {
  kid: z.string().optional(),
  alg: z.string().optional(),
  use: z.string().optional(),
  key_ops: z.array(z.string()).optional(),
  x5c: z.array(z.base64()).optional(),
}

/** One key of a set, by the members that its type cannot do without: RFC 7517 §4, RFC 7518 §6, RFC 8037 §2. Others may stand beside them. */
const jsonWebKey = z.discriminatedUnion('kty', [
  z.looseObject({ kty: z.literal('RSA'), n: octets(), e: octets(), ...described }),
  z.looseObject({ kty: z.literal('EC'), crv: z.string(), x: octets(), y: octets(), ...described }),
  z.looseObject({ kty: z.literal('OKP'), crv: z.string(), x: octets(), ...described }),
  z.looseObject({ kty: z.literal('oct'), k: octets(), ...described }),
])

const keySet = z.looseObject({ keys: z.array(z.unknown()) })

// Members that hold private or symmetric key material: RFC 7518 §6.
const PRIVATE = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/** What is said of a JSON Web Key Set: why it is none, or which of its keys (by index) hold private material. */
export type KeySetFinding = { readonly rule: string } | { readonly privateKeys: readonly number[] }

export function inspectKeySet(text: string): KeySetFinding {
  const set = keySet.safeParse(parsed(text))
  if (!set.success) return { rule: 'a JSON Web Key Set: an object with a list "keys"' }
  const privateKeys: number[] = []
  for (const [index, key] of set.data.keys.entries()) {
    const read = jsonWebKey.safeParse(key)
    if (!read.success) return { rule: `a JSON Web Key Set: key ${index} is not a key of type RSA, EC, OKP or oct${where(read.error.issues[0]?.path)}` }
    if (PRIVATE.some((name) => name in read.data)) privateKeys.push(index)
  }
  return { privateKeys }
}

const where = (path: readonly PropertyKey[] | undefined): string => (path === undefined || path.length === 0 ? '' : ` (${path.map(String).join('.')})`)

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
