import { generateKeyPairSync } from 'node:crypto'
import { create } from '@bufbuild/protobuf'
import { Client, credentials, Metadata } from '@grpc/grpc-js'
import { makeCsr } from '#api/ca/make-csr.ts'
import { IstioCertificateRequestSchema, type IstioCertificateResponse } from '#core/wire/gen/istio/v1/auth/ca_pb.ts'
import { defineTypedMethod, istioCa } from '#core/wire/grpc.ts'
import type { PlaneUnderTest } from './control-plane.ts'

/** What a proxy holds once it has joined. PEM. */
export interface Held {
  readonly privateKey: string
  readonly chain: readonly string[]
}

/** How a proxy speaks to a control plane: with its certificate, or without one yet. */
export const clientOf = (world: PlaneUnderTest, held?: Held) => {
  const root = Buffer.from(world.plane.xds.rootCertificate)
  return held === undefined ? credentials.createSsl(root) : credentials.createSsl(root, Buffer.from(held.privateKey), Buffer.from(held.chain.join('')))
}

/** A certificate, as a proxy gets one: by its token, or by the one that it holds. */
export async function certified(world: PlaneUnderTest, by: { readonly token?: string; readonly held?: Held }): Promise<Held> {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const client = new Client(`127.0.0.1:${world.plane.xds.port}`, clientOf(world, by.held), { 'grpc.use_local_subchannel_pool': 1, 'grpc.ssl_target_name_override': 'localhost' })
  try {
    const { path: method, requestSerialize, responseDeserialize } = defineTypedMethod(istioCa.createCertificate, (bytes): Buffer => Buffer.from(bytes))
    const metadata = new Metadata()
    if (by.token !== undefined) metadata.set('authorization', `Bearer ${by.token}`)
    const request = create(IstioCertificateRequestSchema, { csr: makeCsr(keys, []), validityDuration: 3600n })
    const response = await new Promise<IstioCertificateResponse>((resolve, reject) => {
      client.makeUnaryRequest(method, requestSerialize, responseDeserialize, request, metadata, (error, answer) => (answer ? resolve(answer) : reject(error)))
    })
    return { privateKey: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), chain: response.certChain }
  } finally {
    client.close()
  }
}
