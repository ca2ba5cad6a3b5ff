import { create } from '@bufbuild/protobuf'
import * as grpc from '@grpc/grpc-js'
import { IstioCertificateRequestSchema, type IstioCertificateResponse } from '#core/wire/gen/istio/v1/auth/ca_pb.ts'
import { defineTypedMethod, istioCa } from '#core/wire/grpc.ts'
import { controlPlaneChannel, type ControlPlane } from '../ads/control-plane.ts'
import type { WorkloadCertificate } from './certificate.ts'

/** By what a proxy asks for a certificate: the one it has, or what it was given to join with. */
export type JoinCredential = { readonly kind: 'certificate'; readonly certificate: WorkloadCertificate } | { readonly kind: 'token'; readonly token: string }

/** Has a request signed; answers with the chain, leaf first and root last. Rejects with a gRPC error. */
export type SignRequest = (csrPem: string, credential: JoinCredential, lifetimeMs: number) => Promise<readonly string[]>

const ANSWER_WITHIN_MS = 10_000
const createCertificate = defineTypedMethod(istioCa.createCertificate, (bytes): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))

/** `istio.v1.auth.IstioCertificateService` of the control plane. A channel a call: calls are hours apart, and each may bear another credential. */
export function certificateService(controlPlane: ControlPlane, wallMs: () => number): SignRequest {
  return (csrPem, credential, lifetimeMs) => {
    const client = controlPlaneChannel(controlPlane, credential.kind === 'certificate' ? credential.certificate : undefined)
    const metadata = new grpc.Metadata()
    if (credential.kind === 'token') metadata.set('authorization', `Bearer ${credential.token}`)
    const request = create(IstioCertificateRequestSchema, { csr: csrPem, validityDuration: BigInt(Math.ceil(lifetimeMs / 1000)) })
    return new Promise<readonly string[]>((resolve, reject) => {
      const answer = (error: grpc.ServiceError | null, response?: IstioCertificateResponse): void => {
        client.close()
        if (error) reject(error)
        else resolve(response?.certChain ?? [])
      }
      client.makeUnaryRequest(
        createCertificate.path,
        createCertificate.requestSerialize,
        createCertificate.responseDeserialize,
        request,
        metadata,
        { deadline: wallMs() + ANSWER_WITHIN_MS },
        answer,
      )
    })
  }
}
