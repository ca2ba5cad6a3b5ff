import { z } from 'zod'
import { duration, flag, judged, text } from './field.ts'
import type { Complaint } from './field.ts'
import { warning } from '../fault/fault.ts'
import type { Fault } from '../fault/fault.ts'
import { inspectKeySet } from './json-web-key.ts'
import type { ResourceKind } from './kind.ts'
import type { ResourceObject } from './object.ts'
import { emptySelectorWarnings, whereComplaints, whereFields } from './selector.ts'

const some = () => z.string().min(1)

const jwtRule = z
  .strictObject({
    issuer: some().optional().describe('The iss claim that a token must bear.'),
    audiences: z.array(some()).optional().describe('Audiences, one of which a token must bear; any by default.'),
    jwksUri: some().max(2048).optional().describe('Where the keys of the issuer are.'),
    jwks_uri: some().max(2048).optional().describe('The same.'),
    jwks: text().optional().describe('The keys themselves, a JSON Web Key Set.'),
    fromHeaders: z
      .array(z.strictObject({ name: some().describe('The header.'), prefix: text().optional().describe('What stands before the token, such as "Bearer ".') }))
      .optional()
      .describe('Headers in which tokens are looked for.'),
    fromParams: z.array(some()).optional().describe('Query parameters in which tokens are looked for.'),
    fromCookies: z.array(some()).optional().describe('Cookies in which tokens are looked for.'),
    outputPayloadToHeader: text().optional().describe('Header by which the payload is passed on, in base64url.'),
    forwardOriginalToken: flag().optional().describe('Whether the token itself is passed on.'),
    outputClaimToHeaders: z
      .array(
        z.strictObject({
          header: z
            .string()
            .min(1)
            .regex(/^[-_A-Za-z0-9]+$/, 'a header name of letters, digits, - and _')
            .describe('The header.'),
          claim: some().describe('The claim, a.b for nested ones.'),
        }),
      )
      .optional()
      .describe('Claims that are passed on by headers.'),
    spaceDelimitedClaims: z.array(some()).max(64).optional().describe('Claims whose text is a list, separated by spaces.'),
    timeout: duration().optional().describe('How long fetching keys may take; 5s by default.'),
    presence: z.enum(['OPTIONAL', 'REQUIRED']).optional().describe('Whether a request must bear a token of the issuer; OPTIONAL by default.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      const given = (['jwksUri', 'jwks_uri', 'jwks'] as const).filter((name) => value[name] !== undefined)
      if (given.length > 1) yield { at: [given[1] ?? ''], code: 'object.field-conflict', rule: 'only one of jwks, jwksUri may be set' }
      const uri = value.jwksUri ?? value.jwks_uri
      if (!value.issuer && uri === undefined) yield { at: ['issuer'], code: 'object.field-required', rule: 'an issuer, or a jwksUri' }
      if (uri !== undefined && !isHttpUrl(uri)) yield { at: ['jwksUri'], value: uri, rule: 'a URL that begins with http:// or https://' }
      const found = value.jwks ? inspectKeySet(value.jwks) : undefined
      // It may hold a private key by mistake: the value is not repeated.
      if (found !== undefined && 'rule' in found) yield { at: ['jwks'], value: null, rule: found.rule, code: 'object.field-type' }
    }),
  )
export type JwtRule = z.infer<typeof jwtRule>

function isHttpUrl(text: string): boolean {
  return URL.canParse(text) && /^https?:\/\//.test(text)
}

const requestAuthenticationSpec = z
  .strictObject({ ...whereFields, jwtRules: z.array(jwtRule).max(4096).optional().describe('Issuers whose tokens are accepted. A request without a token passes; one with a bad token does not.') })
  .superRefine(judged(whereComplaints))
export type RequestAuthenticationSpec = z.infer<typeof requestAuthenticationSpec>
type RequestAuthentication = ResourceObject & { readonly spec?: RequestAuthenticationSpec | undefined }

function check(object: RequestAuthentication): Fault[] {
  const faults = emptySelectorWarnings(object.spec?.selector, 'spec.selector')
  for (const [index, one] of (object.spec?.jwtRules ?? []).entries()) {
    const found = one.jwks ? inspectKeySet(one.jwks) : undefined
    if (found !== undefined && 'privateKeys' in found && found.privateKeys.length > 0) faults.push(warning('object.field-range', { path: `spec.jwtRules[${index}].jwks`, rule: `public keys alone; key ${found.privateKeys.join(', ')} holds private material` }))
  }
  return faults
}

export const requestAuthentication: ResourceKind<{ spec?: RequestAuthenticationSpec | undefined }> = {
  group: 'security.istio.io',
  versions: ['v1', 'v1beta1'],
  kind: 'RequestAuthentication',
  plural: 'requestauthentications',
  singular: 'requestauthentication',
  shortNames: ['ra'],
  categories: ['istio-io', 'security-istio-io'],
  namespaced: true,
  description: 'Whose tokens (JWT) workloads accept.',
  fields: z.strictObject({ spec: requestAuthenticationSpec.optional().describe('The issuers.') }),
  check,
  secretFields: [],
  printerColumns: [],
  example: {
    apiVersion: 'security.istio.io/v1',
    kind: 'RequestAuthentication',
    metadata: { name: 'users', namespace: 'default' },
    spec: { selector: { matchLabels: { app: 'shop' } }, jwtRules: [{ issuer: 'https://id.example.com', jwksUri: 'https://id.example.com/keys' }] },
  },
}
