import type { KeyObject } from 'node:crypto'
import * as grpc from '@grpc/grpc-js'
import type { Doors, Timer } from '#core/time/clock.ts'
import { describeError, type Log } from '../admin/log.ts'
import { backOffMs } from '#core/time/back-off.ts'
import { readIssued, type WorkloadCertificate } from './certificate.ts'
import type { JoinCredential, SignRequest } from './certificate-service.ts'
import { createCsr, generateKey } from './csr.ts'

export interface IdentitySettings {
  /** `spiffe://…`: who the proxy asks to be; the control plane decides. */
  readonly uri: string
  /** What to ask for; the control plane may give less. */
  readonly lifetimeMs: number
  /** Read anew at each use: platforms rotate their tokens. */
  readonly joinToken: () => string | undefined
}

const RETRY_BASE_MS = 250
const RETRY_MAX_MS = 10_000
/** Renewal is due between these parts of a certificate's life, by a draw: always before half. */
const DUE_FROM = 0.4
const DUE_SPREAD = 0.08
/** A renewal later than this part of its period is an alarm, long before the certificate ends. */
const LATE_PART = 0.1

/**
 * A proxy's identity over time: asks for a certificate, renews it before half its life, tries for as long as it takes.
 * Who needs the certificate reads `now`, once per use; who must act on a change subscribes.
 */
export class WorkloadIdentity {
  readonly #doors: Doors
  readonly #settings: IdentitySettings
  readonly #sign: SignRequest
  readonly #log: Log
  readonly #listeners = new Set<(certificate: WorkloadCertificate) => void>()
  #current: WorkloadCertificate | undefined
  #renewal: Timer | undefined
  #alarm: Timer | undefined
  #attempt = 0
  #stopped = false
  #refused = false
  #dueAtMs = 0
  /** For metrics: certificates received, attempts that failed, and alarms raised for late renewals. */
  readonly counts = { issued: 0, failed: 0, late: 0 }

  constructor(doors: Doors, settings: IdentitySettings, sign: SignRequest, log: Log) {
    this.#doors = doors
    this.#settings = settings
    this.#sign = sign
    this.#log = log
  }

  /** The certificate in force; undefined before the first. It may have ended, if renewal failed for that long. */
  get now(): WorkloadCertificate | undefined {
    return this.#current
  }

  /** Milliseconds by which renewal is overdue: 0 in good order. */
  get overdueMs(): number {
    return this.#current === undefined ? 0 : Math.max(0, this.#doors.clock.wallMs() - this.#dueAtMs)
  }

  /** Calls `listener` after each new certificate. Returns the way to stop. */
  subscribe(listener: (certificate: WorkloadCertificate) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** `known`: a certificate from before, which is used and renewed if it is still good. */
  start(known?: WorkloadCertificate): void {
    if (known !== undefined && known.notAfterMs > this.#doors.clock.wallMs()) this.#take(known)
    else void this.#renew()
  }

  stop(): void {
    this.#stopped = true
    this.#renewal?.cancel()
    this.#alarm?.cancel()
  }

  async #renew(): Promise<void> {
    const key = generateKey()
    let by = 'none'
    let issued: WorkloadCertificate
    try {
      // Reading the token can fail too: its file may not be mounted yet.
      const credential = this.#credential()
      by = credential?.kind ?? by
      issued = await this.#ask(key, credential)
    } catch (error) {
      this.#retry(error, by)
      return
    }
    if (!this.#stopped) this.#take(issued)
  }

  /** The certificate while it is good; else, or when the control plane has just refused it, the token. */
  #credential(): JoinCredential | undefined {
    const certificate = this.#current
    if (certificate !== undefined && !this.#refused && certificate.notAfterMs > this.#doors.clock.wallMs()) return { kind: 'certificate', certificate }
    const token = this.#settings.joinToken()
    if (token !== undefined) return { kind: 'token', token }
    return certificate && { kind: 'certificate', certificate }
  }

  async #ask(key: KeyObject, credential: JoinCredential | undefined): Promise<WorkloadCertificate> {
    if (credential === undefined) throw new Error('there is neither a certificate nor a join token (WEFT_JOIN_TOKEN, WEFT_JOIN_TOKEN_FILE)')
    const { uri, lifetimeMs } = this.#settings
    const chain = await this.#sign(createCsr(key, uri), credential, lifetimeMs)
    return readIssued(chain, key, uri, this.#doors.clock.wallMs())
  }

  #take(issued: WorkloadCertificate): void {
    const { clock, random } = this.#doors
    const nowMs = clock.wallMs()
    // From now, not from notBefore: issuers date it back a little against clocks that differ.
    const periodMs = (issued.notAfterMs - nowMs) * (DUE_FROM + DUE_SPREAD * random.draw())
    this.#current = issued
    this.#attempt = 0
    this.#refused = false
    this.#dueAtMs = nowMs + periodMs
    this.counts.issued += 1
    this.#log.info('identity.issued', { uri: issued.uri, serial: issued.serial, until: new Date(issued.notAfterMs).toISOString(), renewInMs: Math.round(periodMs) })
    this.#renewal?.cancel()
    this.#renewal = clock.after(periodMs, () => void this.#renew())
    this.#alarm?.cancel()
    this.#alarm = clock.after(periodMs * (1 + LATE_PART), () => this.#raiseAlarm(issued))
    for (const listener of this.#listeners) listener(issued)
  }

  #raiseAlarm(certificate: WorkloadCertificate): void {
    this.counts.late += 1
    this.#log.error('identity.renewal-late', { uri: certificate.uri, overdueMs: Math.round(this.overdueMs), until: new Date(certificate.notAfterMs).toISOString() })
  }

  #retry(error: unknown, by: string): void {
    if (this.#stopped) return
    this.counts.failed += 1
    this.#refused = by === 'certificate' && isRefusal(error)
    const delayMs = backOffMs(this.#attempt++, this.#doors.random.draw(), RETRY_BASE_MS, RETRY_MAX_MS)
    this.#log.warn('identity.request-failed', { uri: this.#settings.uri, by, error: describeError(error), retryInMs: Math.round(delayMs) })
    this.#renewal?.cancel()
    this.#renewal = this.#doors.clock.after(delayMs, () => void this.#renew())
  }
}

function isRefusal(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false
  return error.code === grpc.status.UNAUTHENTICATED || error.code === grpc.status.PERMISSION_DENIED
}
