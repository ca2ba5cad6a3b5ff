import { z } from 'zod'

const role = z.enum(['owner', 'editor', 'viewer'])

/** `PUT …/oidc`: the identity provider of an organization. */
export const oidcRequest = z.strictObject({
  issuer: z.url().max(500).describe('As it stands in the provider’s tokens; its metadata are at /.well-known/openid-configuration below it.'),
  clientId: z.string().min(1).max(500),
  clientSecret: z.string().min(1).max(2000).optional().describe('Left out for a public client. Never shown again.'),
  rolesClaim: z.string().min(1).max(200).optional().describe('A claim whose values give a role, groups for example. Without it members are invited by e-mail.'),
  roles: z.record(z.string().max(500), role).optional().describe('Value of the claim → role; whoever has none of them may not enter.'),
})
export const oidc = z.object({
  issuer: z.string(),
  clientId: z.string(),
  hasSecret: z.boolean(),
  rolesClaim: z.string().nullable(),
  roles: z.record(z.string(), role),
  redirectUri: z.string().describe('To be registered at the provider.'),
})

/** `POST …/oidc/authorize`: begins a sign-in, for a program that has a verifier (RFC 7636) and waits at `redirectUri`. */
export const oidcAuthorizeRequest = z.strictObject({
  redirectUri: z.string().min(1).max(2000),
  codeChallenge: z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'SHA-256 of the verifier, base64url'),
  state: z.string().min(1).max(200).describe('Comes back with the code.'),
})
export const oidcAuthorize = z.object({ url: z.string().describe('The page to open in a browser; it leads to the provider.') })

/** `GET …/oidc/start`, as `url` above has it. */
export const oidcStartQuery = z.object({ begun: z.string().optional().describe('What was sealed when the sign-in began.') })

/** `POST …/oidc/session`: the code that came to `redirectUri`, for a session. */
export const oidcSessionRequest = z.strictObject({ code: z.string().min(1).max(200), codeVerifier: z.string().regex(/^[A-Za-z0-9._~-]{43,128}$/, 'a verifier of RFC 7636') })
