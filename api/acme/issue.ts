import { createHash, generateKeyPairSync } from 'node:crypto'
import { accountMember, challengeMember, secretText } from '#api/model/acme.ts'
import type { Clock } from '#core/time/clock.ts'
import type { Mesh, Store } from '#db/store.ts'
import { AcmeClient, AcmeProblem } from './client.ts'
import type { Challenge } from './client.ts'
import { serverCsr } from './csr.ts'
import { keyAuthorization, makeAccountKey, readAccountKey } from './jose.ts'
import type { AccountKey } from './jose.ts'
import { changeState } from './state.ts'
import type { WantedCertificate } from './wanted.ts'

export interface IssueDoors {
  readonly store: Store
  readonly clock: Clock
  /** PEM of private authorities' roots; undefined: those of the system. */
  readonly roots: string | undefined
  /** Resolves when the gateways have a revision's configuration, or are not waited for any longer. */
  readonly whenServed: (meshId: string, revision: number) => Promise<void>
  /** Gives up what is under way. */
  readonly signal: AbortSignal
}

/** Orders one certificate and proves its hosts over HTTP (RFC 8555 §7.1, §8.3). The answers to challenges are configuration, so that whichever gateway is asked has them. @throws AcmeProblem, StoreUnavailable */
export async function issueCertificate(doors: IssueDoors, mesh: Pick<Mesh, 'id' | 'organizationId'>, wanted: WantedCertificate): Promise<{ chain: string; privateKey: string }> {
  const { store, clock } = doors
  const { namespace, hosts } = wanted
  const account = await accountOf(store, mesh, wanted)
  const client = new AcmeClient(wanted.directory, account, clock, { roots: doors.roots, signal: doors.signal })
  await client.enter(wanted.email)
  const order = await client.order(hosts)
  const open: { url: string; host: string; challenge: Challenge }[] = []
  for (const url of order.authorizations) {
    const { status, identifier, challenges } = await client.authorization(url)
    if (status === 'valid') continue
    const challenge = challenges.find((one) => one.type === 'http-01')
    if (challenge === undefined) throw new AcmeProblem('unsupported', `${identifier.value} cannot be proven over HTTP`)
    open.push({ url, host: identifier.value, challenge })
  }
  try {
    if (open.length > 0) {
      const answers = Object.fromEntries(open.map(({ host, challenge }) => [challengeMember(host), keyAuthorization(account, challenge.token)]))
      const revision = await changeState(store, mesh, namespace, `answer challenges for ${hosts.join(', ')}`, () => answers)
      if (revision !== undefined) await Promise.race([doors.whenServed(mesh.id, revision), aborted(doors.signal)])
      for (const { challenge } of open) await client.ready(challenge)
      for (const { url } of open) await client.proven(url)
    }
    const key = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const chain = await client.finalize(order, serverCsr(key, hosts))
    return { chain, privateKey: key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
  } finally {
    if (open.length > 0) await changeState(store, mesh, namespace, 'take the answers away again', () => Object.fromEntries(open.map(({ host }) => [challengeMember(host), undefined])))
  }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })

/** The namespace's account at an authority: its key is made once, whichever replica is first. */
async function accountOf(store: Store, mesh: Pick<Mesh, 'id' | 'organizationId'>, { namespace, directory }: WantedCertificate): Promise<AccountKey> {
  const member = accountMember(createHash('sha256').update(directory).digest('hex').slice(0, 16))
  let pem = ''
  await changeState(store, mesh, namespace, `an account at ${directory}`, (state) => {
    const known = secretText(state, member)
    pem = known ?? makeAccountKey()
    return known === undefined ? { [member]: pem } : undefined
  })
  return readAccountKey(pem)
}
