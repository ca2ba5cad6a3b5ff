import { hkdfSync, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'
import type { ClientTlsPlan } from '#core/plan/cluster.ts'
import type { ServerTlsPlan } from '#core/plan/listener.ts'
import type { SecretPlan } from '#core/plan/secret.ts'
import { describeError, type Log } from '../admin/log.ts'
import type { SecretStore } from '../ads/plan-cell.ts'
import type { SecretSource } from '../sources.ts'
import { keyPem, type WorkloadCertificate } from './certificate.ts'

interface Pair {
  readonly chainPem: string
  readonly keyPem: string
}

interface Versions {
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
  readonly maxVersion: 'TLSv1.2' | 'TLSv1.3'
  readonly ciphers?: string
  readonly ecdhCurve?: string
}

/** The suites of TLS 1.3 are not for choice, and where a list leaves them out Node does without that version. */
const TLS13_SUITES = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256'

/** BoringSSL's groups of equal rank, `[A|B]`, one after the other. */
const ciphersOf = (suites: readonly string[] | undefined): { ciphers?: string } =>
  suites === undefined ? {} : { ciphers: [TLS13_SUITES, ...suites.flatMap((one) => one.replace(/^\[|\]$/g, '').split('|'))].join(':') }

interface Made {
  /** Of all secrets, when the context was last known to be of the newest ones. */
  epoch: number
  /** Versions of the secrets that it is made of. */
  readonly versions: string
  readonly context: SecureContext | undefined
}

/** The secret that holds the proxy's own certificate, and the one that holds the mesh's roots: Istio's names. */
const OWN_CERTIFICATE = 'default'
const OWN_ROOTS = 'ROOTCA'

/** Clients may resume a session for so long after its handshake (seconds): it is not asked again whether their certificate is valid still. */
const SESSION_SECONDS = 300
const TICKET_KEY_BYTES = 48
const TICKET_SECRET_BYTES = 32

/**
 * Certificates, keys and roots by name, and the TLS contexts made of them: one for each plan and each version of its secrets.
 * A connection keeps the context of its handshake, so rotation changes the next handshake and cuts nothing.
 */
export class Secrets implements SecretSource, SecretStore {
  readonly #log: Log
  readonly #pairs = new Map<string, { version: string; pair: Pair }>()
  readonly #roots = new Map<string, { version: string; pem: string; revokedPem?: string | undefined }>()
  readonly #contexts = new WeakMap<ServerTlsPlan | ClientTlsPlan, Made>()
  readonly #listeners: (() => void)[] = []
  #epoch = 0
  /** What the keys of session tickets are made from, in hex: threads of one proxy share it, so that a client may resume its session with any of them. */
  readonly ticketSecret: string

  constructor(log: Log, ticketSecret: string = randomBytes(TICKET_SECRET_BYTES).toString('hex')) {
    this.#log = log
    this.ticketSecret = ticketSecret
  }

  /** The proxy's own certificate, first or renewed. */
  useIdentity(certificate: WorkloadCertificate): void {
    this.#pairs.set(OWN_CERTIFICATE, { version: certificate.version, pair: { chainPem: certificate.chainPem, keyPem: keyPem(certificate.key) } })
    this.#roots.set(OWN_ROOTS, { version: certificate.version, pem: certificate.rootsPem })
    this.#changed()
  }

  put(secret: SecretPlan): void {
    if (secret.kind === 'certificate') this.#pairs.set(secret.name, { version: secret.version, pair: { chainPem: secret.chainPem, keyPem: secret.keyPem } })
    else this.#roots.set(secret.name, { version: secret.version, pem: secret.rootsPem, revokedPem: secret.revokedPem })
    this.#changed()
  }

  remove(name: string): void {
    const hadPair = this.#pairs.delete(name)
    const hadRoots = this.#roots.delete(name)
    if (hadPair || hadRoots) this.#changed()
  }

  serverContext(tls: ServerTlsPlan): SecureContext | undefined {
    return this.#contextOf(tls, tls.certificates, tls.trust, { minVersion: tls.minVersion, maxVersion: tls.maxVersion, ...ciphersOf(tls.cipherSuites), ...(tls.curves === undefined ? {} : { ecdhCurve: tls.curves.join(':') }) }, true)
  }

  clientContext(tls: ClientTlsPlan): SecureContext | undefined {
    return this.#contextOf(tls, tls.certificate === undefined ? [] : [tls.certificate], tls.trust, { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' }, false)
  }

  onChange(changed: () => void): void {
    this.#listeners.push(changed)
  }

  /** Names, kinds and chains, for people; never a key. */
  list(): { name: string; kind: 'certificate' | 'trust'; version: string; certificatesPem: string }[] {
    return [
      ...[...this.#pairs].map(([name, { version, pair }]) => ({ name, kind: 'certificate' as const, version, certificatesPem: pair.chainPem })),
      ...[...this.#roots].map(([name, { version, pem }]) => ({ name, kind: 'trust' as const, version, certificatesPem: pem })),
    ]
  }

  #changed(): void {
    this.#epoch += 1
    for (const listener of this.#listeners) listener()
  }

  #contextOf(
    tls: ServerTlsPlan | ClientTlsPlan,
    certificates: readonly string[],
    trust: string | undefined,
    versions: Versions,
    serves: boolean,
  ): SecureContext | undefined {
    const known = this.#contexts.get(tls)
    if (known?.epoch === this.#epoch) return known.context
    const pairs = certificates.map((name) => this.#pairs.get(name) ?? this.#pairInFiles(name))
    const roots = trust === undefined ? undefined : (this.#roots.get(trust) ?? this.#rootsInFile(trust))
    const parts = `${pairs.map((one) => one?.version ?? '-').join()} ${roots?.version ?? '-'}`
    if (known?.versions === parts) {
      known.epoch = this.#epoch
      return known.context
    }
    const complete = pairs.every((one) => one !== undefined) && (trust === undefined || roots !== undefined)
    const sessions = serves ? this.#sessions(`${certificates.join()} ${trust ?? '-'} ${parts}`) : {}
    const context = complete ? this.#make(pairs.map(({ pair }) => pair), roots, { ...versions, ...sessions }) : undefined
    this.#contexts.set(tls, { epoch: this.#epoch, versions: parts, context })
    return context
  }

  /**
   * Sessions are resumed under the same certificates and roots alone: with new ones, and with a trust or without, keys differ, and there is a handshake in full.
   * OpenSSL fails the handshake of a client that resumes where certificates are asked for, unless there is a context of sessions.
   */
  #sessions(secrets: string): Pick<SecureContextOptions, 'ticketKeys' | 'sessionIdContext' | 'sessionTimeout'> {
    return { ticketKeys: Buffer.from(hkdfSync('sha256', this.ticketSecret, '', secrets, TICKET_KEY_BYTES)), sessionIdContext: 'weft', sessionTimeout: SESSION_SECONDS }
  }

  /** `file-cert:CHAIN~KEY`, as Istio names a certificate that lies on the proxy's host. Read once: whoever replaces the files restarts the proxy. */
  #pairInFiles(name: string): { version: string; pair: Pair } | undefined {
    const [chain, key] = name.startsWith('file-cert:') ? name.slice('file-cert:'.length).split('~') : []
    const [chainPem, keyText] = [this.#fileText(chain), this.#fileText(key)]
    if (chainPem === undefined || keyText === undefined) return undefined
    const found = { version: name, pair: { chainPem, keyPem: keyText } }
    this.#pairs.set(name, found)
    return found
  }

  /** `file-root:PATH`, `file-root:PATH~REVOKED` */
  #rootsInFile(name: string): { version: string; pem: string; revokedPem?: string } | undefined {
    const [file, revoked] = name.startsWith('file-root:') ? name.slice('file-root:'.length).split('~') : []
    const pem = this.#fileText(file)
    const revokedPem = revoked === undefined ? undefined : this.#fileText(revoked)
    // Who cannot read what was revoked trusts nobody.
    if (pem === undefined || (revoked !== undefined && revokedPem === undefined)) return undefined
    const found = { version: name, pem, ...(revokedPem === undefined ? {} : { revokedPem }) }
    this.#roots.set(name, found)
    return found
  }

  #fileText(path: string | undefined): string | undefined {
    if (path === undefined || path === '') return undefined
    try {
      return readFileSync(path, 'utf8')
    } catch (error) {
      // Without the file there is no context, and connections are refused until it is there.
      this.#log.warn('identity.file-unreadable', { path, error: describeError(error) })
      return undefined
    }
  }

  #make(pairs: readonly Pair[], roots: { readonly pem: string; readonly revokedPem?: string | undefined } | undefined, options: SecureContextOptions): SecureContext | undefined {
    try {
      return createSecureContext({
        ...options,
        ...(pairs.length > 0 && { cert: pairs.map(({ chainPem }) => chainPem), key: pairs.map((pair) => pair.keyPem) }),
        ...(roots !== undefined && { ca: roots.pem }),
        ...(roots?.revokedPem !== undefined && { crl: roots.revokedPem }),
      })
    } catch (error) {
      // A certificate that openssl refuses: its connections are refused too, all others go on.
      this.#log.error('identity.secret-unusable', { error: describeError(error) })
      return undefined
    }
  }
}
