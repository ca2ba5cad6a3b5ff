import { status } from '@grpc/grpc-js'
import { create } from '@bufbuild/protobuf'
import { bearerOf, CallRefused, provenBy, type CallerSide } from '#api/serve/credentials.ts'
import { type CallEnd, type GrpcMethod, unary } from '#api/serve/transport/method.ts'
import type { TrustStore } from '#api/serve/trust.ts'
import { Faults } from '#core/fault/fault.ts'
import { formatSpiffeId, parseSpiffeId, type SpiffeId } from '#core/identity/spiffe.ts'
import type { Clock } from '#core/time/clock.ts'
import { type IstioCertificateRequest, IstioCertificateResponseSchema } from '#core/wire/gen/istio/v1/auth/ca_pb.ts'
import { defineTypedMethod, istioCa } from '#core/wire/grpc.ts'
import { readCsr } from './csr.ts'
import type { Authority } from './root.ts'
import { signWorkload } from './sign.ts'

/** What a join token, or a platform's token, allows: one identity, or `*` for any namespace or service account within the mesh. */
export interface JoinGrant {
  readonly organizationId: string
  readonly meshId: string
  readonly namespace: string
  readonly serviceAccount: string
}

/** What signing asks of the rest of the control plane. */
export interface CertificateDoors {
  readonly clock: Clock
  /** Undefined for a token that is unknown, expired or used up. */
  resolveToken(secret: string): Promise<JoinGrant | undefined>
  /** The mesh's root, opened, and its trust domain; undefined when there is no such mesh. */
  authorityOf(meshId: string): Promise<{ authority: Authority; trustDomain: string } | undefined>
  /** A certificate was signed: for the audit log. */
  signed?(about: { meshId: string; identity: string; how: 'token' | 'certificate'; notAfterMs: number }): void
}

interface Applicant {
  readonly how: 'token' | 'certificate'
  readonly meshId: string
  readonly namespace: string
  readonly serviceAccount: string
  /** Of a certificate: it renews itself and nothing else. */
  readonly trustDomain: string | undefined
}

const wrap = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** `istio.v1.auth.IstioCertificateService`: hand it to `startXds` among its services. */
export function certificateService(doors: CertificateDoors): (trust: TrustStore | undefined) => readonly GrpcMethod[] {
  return (trust) => [
    unary(defineTypedMethod(istioCa.createCertificate, wrap), (call, answer) => {
      createCertificate(doors, trust, call).then(
        (certChain) => answer(null, create(IstioCertificateResponseSchema, { certChain })),
        (raised: unknown) => answer(asStatus(raised)),
      )
    }),
  ]
}

function asStatus(raised: unknown): CallEnd {
  if (raised instanceof CallRefused) return { code: raised.code, details: raised.message }
  if (raised instanceof Faults) return { code: status.INVALID_ARGUMENT, details: raised.message }
  return { code: status.UNAVAILABLE, details: 'the certificate could not be signed; try again' }
}

async function createCertificate(doors: CertificateDoors, trust: TrustStore | undefined, call: CallerSide & { request: IstioCertificateRequest }): Promise<string[]> {
  const applicant = await applicantOf(doors, trust, call)
  const request = readCsr(call.request.csr)
  const mesh = await doors.authorityOf(applicant.meshId)
  if (!mesh) throw new CallRefused(status.UNAUTHENTICATED, 'the credential is for a mesh that is not there')
  const identity = grantedIdentity(applicant, mesh.trustDomain, wishesOf(call.request, request.uris))
  const seconds = Number(call.request.validityDuration)
  const nowMs = doors.clock.wallMs()
  const leaf = signWorkload(mesh.authority, { request, identity, nowMs, ...(seconds > 0 ? { lifetimeMs: seconds * 1000 } : {}) })
  doors.signed?.({ meshId: applicant.meshId, identity: formatSpiffeId(identity), how: applicant.how, notAfterMs: leaf.notAfterMs })
  return [...leaf.chain]
}

/**
 * A token says what its bearer may become; without one, a certificate that still holds renews itself.
 * A proxy that shows both has joined before: its certificate stands while it is good, so that an expired token does not end it.
 */
async function applicantOf(doors: CertificateDoors, trust: TrustStore | undefined, call: CallerSide): Promise<Applicant> {
  const proven = provenBy(call, trust)
  const own = proven && parseSpiffeId(proven.uri)
  const bearer = bearerOf(call)
  if (bearer !== undefined) {
    const grant = await doors.resolveToken(bearer)
    if (grant) return { how: 'token', meshId: grant.meshId, namespace: grant.namespace, serviceAccount: grant.serviceAccount, trustDomain: undefined }
    if (!own) throw new CallRefused(status.UNAUTHENTICATED, 'the token is unknown, expired or used up')
  }
  // TLS judged it when the connection began, which may be long ago.
  if (proven && proven.notAfterMs <= doors.clock.wallMs()) throw new CallRefused(status.UNAUTHENTICATED, 'the certificate has expired: join again')
  if (!proven || !own) throw new CallRefused(status.UNAUTHENTICATED, 'neither a token nor a certificate of a mesh was shown')
  return { how: 'certificate', meshId: proven.meshId, ...own }
}

/** SPIFFE IDs that a request names: in its CSR, and in Istio's metadata for agents that ask for others. */
function wishesOf(request: IstioCertificateRequest, uris: readonly string[]): ReadonlySet<string> {
  const impersonated = request.metadata?.['ImpersonatedIdentity']
  return new Set([...uris, ...(typeof impersonated === 'string' ? [impersonated] : [])])
}

/** @throws CallRefused PERMISSION_DENIED for what the credential does not allow */
function grantedIdentity(applicant: Applicant, trustDomain: string, wishes: ReadonlySet<string>): SpiffeId {
  if (applicant.trustDomain !== undefined && applicant.trustDomain !== trustDomain) throw new CallRefused(status.PERMISSION_DENIED, 'the mesh has another trust domain now; join again')
  if (wishes.size > 1) throw new CallRefused(status.PERMISSION_DENIED, 'the request names more than one SPIFFE ID')
  const [wish] = wishes
  if (wish === undefined) {
    if (applicant.namespace === '*' || applicant.serviceAccount === '*') throw new CallRefused(status.INVALID_ARGUMENT, 'the token allows several identities: the CSR must name a SPIFFE ID')
    return { trustDomain, namespace: applicant.namespace, serviceAccount: applicant.serviceAccount }
  }
  const asked = parseSpiffeId(wish)
  const allowed =
    asked?.trustDomain === trustDomain &&
    (applicant.namespace === '*' || applicant.namespace === asked.namespace) &&
    (applicant.serviceAccount === '*' || applicant.serviceAccount === asked.serviceAccount)
  if (!asked || !allowed) throw new CallRefused(status.PERMISSION_DENIED, 'the credential does not allow the SPIFFE ID that the CSR names')
  return asked
}
