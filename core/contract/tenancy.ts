import { z } from 'zod'
import { pageQuery } from './history.ts'

const name = z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'lower-case letters, digits and dashes, at most 63')

/** `POST /api/v1/organizations` (bootstrap credential only). */
export const organizationRequest = z.strictObject({ name })
export const organization = z.object({ name: z.string(), createdAt: z.string() })

/** `POST …/meshes` */
/** SPIFFE §2.1. */
export const trustDomain = z.string().regex(/^[a-z0-9._-]{1,253}$/, 'lower-case letters, digits, dots, dashes and underscores, at most 253')
export const meshRequest = z.strictObject({ name, trustDomain: trustDomain.optional() })
export const mesh = z.object({
  name: z.string(),
  trustDomain: z.string(),
  revision: z.number().int(),
  settings: z.looseObject({}),
  createdAt: z.string(),
})
export const meshSettings = z.strictObject({
  strict: z.boolean().optional(),
  outboundTrafficPolicy: z.enum(['ALLOW_ANY', 'ALLOW_ANY_DYNAMIC_DNS', 'REGISTRY_ONLY']).optional(),
  otlp: z.url().optional(),
})

/** `POST …/keys`: `secret` is in this answer and in no other. */
export const keyRequest = z.strictObject({
  name: z.string().min(1).max(100),
  role: z.enum(['owner', 'editor', 'viewer']),
  mesh: name.optional(),
  /** The only namespaces that it may see and touch; all unless told. */
  namespaces: z.array(z.string().min(1).max(63)).min(1).max(100).optional(),
  // Years before the epoch and beyond 9999 are written in other ways by databases.
  expiresAt: z.iso.datetime().refine((text) => Date.parse(text) > 0, 'a time after 1970').optional(),
})
export const key = z.object({ id: z.string(), name: z.string(), role: z.string(), mesh: z.string().nullable(), namespaces: z.array(z.string()).nullable(), session: z.boolean().describe('Of a member who signed in.'), expiresAt: z.string().nullable(), createdAt: z.string() })
export const keyCreated = key.extend({ secret: z.string() })

/** `POST …/meshes/{mesh}/join-tokens` */
export const joinTokenRequest = z.strictObject({
  /** The identity that its bearer may take; `*`: any of the mesh. */
  namespace: z.string().min(1).max(63),
  serviceAccount: z.string().min(1).max(253),
  /** Seconds; an hour unless told. */
  ttlSeconds: z.number().int().min(60).max(31_536_000).optional(),
})
export const joinTokenCreated = z.object({ id: z.string(), secret: z.string(), namespace: z.string(), serviceAccount: z.string(), expiresAt: z.string() })

export const joinToken = z.object({ id: z.string(), namespace: z.string(), serviceAccount: z.string(), expiresAt: z.string(), createdAt: z.string() })

/** `POST …/members`: with a password, or invited: then `invitation` is in this answer and in no other. */
export const memberRequest = z.strictObject({ name: z.string().min(1).max(200), role: z.enum(['owner', 'editor', 'viewer']), password: z.string().min(12).max(1000).optional() })
/** `PATCH …/members/{member}`: either ends the member's sessions where it changes anything. */
export const memberChange = z.strictObject({ role: z.enum(['owner', 'editor', 'viewer']).optional(), disabled: z.boolean().optional() })
export const member = z.object({
  id: z.string(),
  name: z.string(),
  role: z.string(),
  invited: z.boolean().describe('Has not taken the invitation yet.'),
  disabled: z.boolean().describe('May not enter.'),
  linked: z.boolean().describe('Comes through the identity provider.'),
  createdAt: z.string(),
})
export const memberCreated = member.extend({ invitation: z.string().nullable(), invitedUntil: z.string().nullable() })
export const invitationRequest = z.strictObject({ invitation: z.string().max(200), password: z.string().min(12).max(1000) })

/** `POST …/login`: `secret` is an API key that ends at `expiresAt`. */
export const loginRequest = z.strictObject({ name: z.string().max(200), password: z.string().max(1000) })
export const session = z.object({ secret: z.string(), role: z.string(), expiresAt: z.string() })

export const quota = z.strictObject({ meshes: z.int().min(0).max(1_000_000).optional(), resourcesPerMesh: z.int().min(0).max(10_000_000).optional(), objectBytes: z.int().min(1000).max(6_000_000).optional() })

const instant = z.iso.datetime().refine((text) => Date.parse(text) > 0, 'a time after 1970').optional()
export const auditQuery = z.object({
  ...pageQuery.shape,
  actor: z.string().max(300).optional().describe('The name of who did it.'),
  mesh: name.optional(),
  refused: z.enum(['true', 'false']).optional().describe('Refused attempts alone, or what was done alone.'),
  since: instant,
  until: instant,
})

/** One entry of `GET …/audit`, the newest first. `what.changes` bears the differences, leaf by leaf, secrets hidden. */
export const auditEntry = z.object({ id: z.int(), mesh: z.string().nullable(), at: z.string(), actor: z.string(), actorId: z.string(), source: z.string(), method: z.string(), path: z.string(), status: z.int(), what: z.looseObject({}) })

export const page = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), next: z.string().nullable() })
