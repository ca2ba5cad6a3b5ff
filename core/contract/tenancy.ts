import { z } from 'zod'

const name = z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'lower-case letters, digits and dashes, at most 63')

/** `POST /api/v1/organizations` (bootstrap credential only). */
export const organizationRequest = z.strictObject({ name })
export const organization = z.object({ name: z.string(), createdAt: z.string() })

/** `POST …/meshes` */
export const meshRequest = z.strictObject({ name, trustDomain: z.string().max(253).optional() })
export const mesh = z.object({
  name: z.string(),
  trustDomain: z.string(),
  revision: z.number().int(),
  settings: z.looseObject({}),
  createdAt: z.string(),
})
export const meshSettings = z.strictObject({
  strict: z.boolean().optional(),
  outboundTrafficPolicy: z.enum(['ALLOW_ANY', 'REGISTRY_ONLY']).optional(),
  otlp: z.url().optional(),
})

/** `POST …/keys`: `secret` is in this answer and in no other. */
export const keyRequest = z.strictObject({
  name: z.string().min(1).max(100),
  role: z.enum(['owner', 'editor', 'viewer']),
  mesh: name.optional(),
  expiresAt: z.iso.datetime().optional(),
})
export const key = z.object({ id: z.string(), name: z.string(), role: z.string(), mesh: z.string().nullable(), expiresAt: z.string().nullable(), createdAt: z.string() })
export const keyCreated = key.extend({ secret: z.string() })

/** `POST …/meshes/{mesh}/join-tokens` */
export const joinTokenRequest = z.strictObject({
  /** The identity that its bearer may take; `*`: any of the mesh. */
  namespace: z.string().min(1).max(63),
  serviceAccount: z.string().min(1).max(253),
  /** Seconds; an hour unless told. */
  ttlSeconds: z.number().int().min(60).max(31_536_000).optional(),
})
export const joinTokenCreated = z.object({ secret: z.string(), namespace: z.string(), serviceAccount: z.string(), expiresAt: z.string() })

export const page = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), next: z.string().nullable() })
