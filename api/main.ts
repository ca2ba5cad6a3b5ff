import { randomUUID } from 'node:crypto'
import { totalmem } from 'node:os'
import { serve as serveHttp, type ServerType } from '@hono/node-server'
import type { Fault } from '#core/fault/fault.ts'
import { openStore } from '#db/open.ts'
import type { Mesh, Organization, ResourceWrite, Role, Store } from '#db/store.ts'
import { consoleFiles, consoleSecurityPolicy } from '#infra/build/static-files.ts'
import { AcmeWorker } from './acme/worker.ts'
import { AuditLog } from './access/audit.ts'
import { makeCredential } from './access/credential.ts'
import { RequestRates } from './access/enter.ts'
import { LoginRates } from './access/login-rates.ts'
import { Oidc } from './access/oidc/oidc.ts'
import { LiveStreams, POLL_BOUNDS } from './access/streams.ts'
import { TurnedAway } from './access/turned-away.ts'
import { MeshAdmission } from './admission.ts'
import { certificateService } from './ca/certificate-service.ts'
import { MeshAuthorities } from './ca/authorities.ts'
import type { ControlPlane, ControlPlaneOptions } from './control-plane.ts'
import { LiveEvents } from './live-events.ts'
import { httpApp } from './http-app.ts'
import { knownObjects } from './known-objects.ts'
import { Meshes } from './meshes.ts'
import { moduleDownload } from './modules/download.ts'
import { ModuleWorker } from './modules/worker.ts'
import { monitoringApp } from './monitoring.ts'
import { reportOf } from './observe/load-report.ts'
import { MeshTraffic } from './observe/mesh-traffic.ts'
import { bound, groupOf } from './model/bound-claims.ts'
import { Registration } from './registry/registration.ts'
import type { ApiDoors, ArchiveDoors } from './rest/doors.ts'
import { carriersOf } from './observe/carriers.ts'
import { proxyConfigOf } from './observe/proxy-config.ts'
import { withEntryAddresses } from './observe/entry-addresses.ts'
import { gatewayApiStatusOf } from './observe/gateway-api-status.ts'
import { Conditions } from './observe/conditions.ts'
import { Untranslated } from './observe/untranslated.ts'
import { ReplicaStatuses } from './observe/replica-statuses.ts'
import { rejectionEvent } from './observe/rejection-event.ts'
import { waitResponseOf } from './observe/sync.ts'
import { explainIn } from './observe/explain.ts'
import { impactOn } from './observe/impact.ts'
import { clientStatus } from './serve/client-status.ts'
import { loadReporting } from './serve/load-reports.ts'
import type { Peer } from './serve/peer.ts'
import { proxyConfigDiscovery } from './serve/proxy-config.ts'
import { startXds } from './serve/server.ts'
import { effectiveProxyConfig } from './translate/proxy-config.ts'
import { LoopShare } from './observe/loop-share.ts'
import { TrustStore } from './serve/trust.ts'
import { meshOfOperator } from './access/operator.ts'
import { Authentication } from './access/proxy-credential.ts'

/** How long streams have to end when the control plane goes. */
const CLOSE_GRACE_MS = 1000
/** How long a question about a change waits for the model to reach what is stored. */
const IMPACT_WAIT_MS = 5000

/**
 * The control plane, wired: store → meshes in memory → views → streams, with the certificate authority, the two HTTP APIs and what watches all of it beside them.
 * Read this first; each room's file says the rest.
 */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { doors, log } = options
  const { clock } = doors
  const store = await openStore(options.database, { doors, sealKey: options.sealKey })

  // Identity: the roots of all meshes, and the control plane's own certificate.
  const authorities = await MeshAuthorities.open(store, options.sealKey, clock)
  const trust = new TrustStore(authorities.serverCertificate(options.xdsNames))
  // Heard before read: what is made in between by another replica comes by either way.
  const stopRoots = store.onRoot((meshId, root) => {
    if (!trust.set(meshId, root)) return
    authorities.forget(meshId)
  })
  for (const [meshId, root] of await store.rootCertificates()) trust.set(meshId, root)
  const renewal = clock.every(authorities.serverRenewalMs, () => trust.renew(authorities.serverCertificate(options.xdsNames)))

  // Configuration: meshes in memory, and who is in them.
  const meshes = new Meshes(store, clock, log)
  // Among others on one database each replica has a name, for as long as it runs.
  const replica = options.sole ? undefined : randomUUID()
  const registration = new Registration(store, clock, log, replica)
  const modules = new ModuleWorker({ store, clock, random: doors.random, log, meshes: () => meshes.all(), mesh: (meshId) => meshes.get(meshId), privateNetworks: options.modules?.privateNetworks ?? false })
  meshes.onLoaded = (mesh, workloads) => {
    if (options.sole) registration.expect(mesh.id, workloads)
    modules.soon()
  }

  // Streams.
  const authentication = new Authentication(store, clock)
  const streams = new LiveStreams(store, clock, (error) => log.warn('access.unjudged', { reason: error instanceof Error ? error.message : String(error) }))
  const watch = ({ credentialId }: Peer, end: () => void): (() => void) => (credentialId === undefined ? () => {} : streams.watch(credentialId, end))
  const traffic = new MeshTraffic(meshes, clock)
  const xds = await startXds(
    {
      ...doors,
      serve: {
        authenticate: (credential) => authentication.authenticate(credential),
        watch,
        hold: ({ credentialId, organizationId }) => (credentialId === undefined ? undefined : streams.hold({ id: credentialId, organizationId }, POLL_BOUNDS)),
        async admit(peer, node) {
          const mesh = await meshes.get(peer.meshId)
          const known = mesh === undefined ? node : bound(mesh.model, node)
          await registration.judge(peer, known)
          return known
        },
        viewFor: (peer, node) => meshes.viewFor(peer.meshId, node, peer.identity),
        connected: (peer, node, refuse) => registration.connected(peer, node, refuse),
        health: (peer, node, health) => registration.health(peer, node, health),
        disconnected: (peer, node, how) => registration.disconnected(peer, node, how),
      },
    },
    {
      tls: { address: options.address, port: options.xdsPort, trust },
      // Where no container bounds it, Node answers 0 or more than there is.
      memoryBytes: Math.min(totalmem(), process.constrainedMemory() || Infinity),
      services: [
        certificateService({
          clock,
          resolveToken: (secret) => authentication.resolveToken(secret),
          authorityOf: (meshId) => authorities.authorityOf(meshId),
          signed: (about) => log.info('ca.signed', { mesh: about.meshId, identity: about.identity, how: about.how, expires: new Date(about.notAfterMs).toISOString() }),
        }),
        loadReporting({
          clock,
          serve: { authenticate: (credential) => authentication.authenticate(credential), watch },
          onLoad: (peer, node, clusters) => traffic.report(peer.meshId, node, reportOf(clusters, clock.wallMs())),
          onGone: (peer, node) => traffic.forget(peer.meshId, node.id),
        }),
        proxyConfigDiscovery({
          serve: { authenticate: (credential) => authentication.authenticate(credential) },
          async effective(peer, node) {
            const mesh = await meshes.get(peer.meshId)
            return mesh && effectiveProxyConfig(mesh.model.read(() => {}), bound(mesh.model, node), groupOf(mesh.model, node))
          },
        }),
        clientStatus({ meshOfOperator: ({ bearer, mesh }) => meshOfOperator(store, bearer, mesh) }),
      ],
      downloads: [(trusted) => moduleDownload({ serve: { authenticate: (credential) => authentication.authenticate(credential) }, modules, log }, trusted)],
      note: (event, fields) => log.warn(event, fields as Record<string, string>),
    },
  )
  const { ledger } = xds
  meshes.onChanges = (mesh, from, heardAtMs) => ledger.pushes.begins(mesh.id, from, heardAtMs)
  const acme = new AcmeWorker({
    store,
    clock,
    random: options.doors.random,
    log,
    meshes: () => meshes.all(),
    hasGateway: (meshId) => ledger.statuses(meshId).some((one) => one.node.type === 'router'),
    holder: replica ?? randomUUID(),
    directories: options.acme?.directories ?? PUBLIC_DIRECTORIES,
    roots: options.acme?.roots,
    async whenServed(meshId, revision) {
      await meshes.reached(meshId, revision, SERVED_WITHIN_MS)
      await ledger.whenSynced(meshId, revision, SERVED_WITHIN_MS)
    },
  })
  meshes.onRevision = (mesh) => {
    ledger.advanced(mesh.id)
    acme.soon()
    modules.soon()
  }

  // People and their tools.
  const archives: ArchiveDoors = {
    rootOf: (meshId) => authorities.rootOf(meshId),
    seal(root, trustDomain) {
      const { certificate, sealed } = root === undefined ? authorities.makeRoot(trustDomain) : authorities.seal(root, trustDomain)
      return { rootCertificate: certificate, sealedRoot: sealed }
    },
    took(mesh) {
      authorities.forget(mesh.id)
      trust.set(mesh.id, mesh.rootCertificate)
    },
  }
  const createMesh = async (organizationId: string, name: string, trustDomain: string, meshesMax?: number): Promise<Mesh> => {
    const root = authorities.makeRoot(trustDomain)
    const mesh = await store.createMesh(organizationId, { name, trustDomain, sealedRoot: root.sealed, rootCertificate: root.certificate, ...(meshesMax === undefined ? {} : { meshesMax }) })
    trust.set(mesh.id, root.certificate)
    return mesh
  }
  const replicas = replica === undefined ? undefined : new ReplicaStatuses(store, ledger, clock, log, replica)
  const proxies = (meshId: string) => replicas?.proxies(meshId) ?? ledger.statuses(meshId)
  const admission = new MeshAdmission(meshes)
  const impacts = new LoopShare(clock)
  const events = new LiveEvents(clock, { topology: (meshId) => traffic.topology(meshId), proxies }, (error) => log.warn('api.topology-failed', { reason: error instanceof Error ? error.message : String(error) }))
  ledger.onRejection((news) => {
    log.warn('xds.nack', { mesh: news.meshId, proxy: news.node, type: news.type, revision: news.rejection.revision, resources: news.rejection.resources, objects: news.rejection.origins, reason: news.rejection.message })
    if (!events.hasAudience(news.meshId)) return
    rejectionEvent(store, meshes.loaded(news.meshId), news).then(
      (data) => events.tell(news.meshId, { event: 'rejection', data }),
      (error: unknown) => log.warn('api.rejection-untold', { mesh: news.meshId, reason: error instanceof Error ? error.message : String(error) }),
    )
  })
  let publicUrl = options.publicUrl ?? ''
  const untranslated = new Untranslated(meshes)
  const conditions = new Conditions(proxies, () => clock.monotonicMs(), (meshId, object) => untranslated.of(meshId, object))
  const audit = new AuditLog(store, (error) => log.error('audit.lost', { reason: error instanceof Error ? error.message : String(error) }))
  const turnedAway = new TurnedAway()
  const apiDoors: ApiDoors = {
    store,
    audit,
    turnedAway,
    ...(options.trustedProxies === undefined ? {} : { trustedProxies: options.trustedProxies }),
    rates: { requests: new RequestRates(() => clock.wallMs()), logins: new LoginRates(clock) },
    streams,
    oidc: new Oidc(store, { sealKey: options.sealKey, privateNetworks: false, ...options.oidc }, () => clock.wallMs(), () => publicUrl),
    createMesh,
    archives,
    admit: (mesh: Mesh, writes: readonly ResourceWrite[]): Promise<Fault[]> => admission.judge(mesh, writes),
    hasNamespace: (mesh: Mesh, name: string): boolean => admission.hasNamespace(mesh, name),
    known: (mesh: Mesh) => knownObjects(meshes, mesh),
    proxies,
    carriers: (meshId, object) => carriersOf(ledger, meshId, object),
    faults: (meshId) => untranslated.all(meshId),
    pushTimes: (meshId, revision) => ledger.pushes.timesOf(meshId, revision),
    proxyConfig: (meshId, proxy) => proxyConfigOf(ledger, meshId, proxy),
    async whenSynced(meshId, revision, timeoutMs) {
      const startedMs = clock.monotonicMs()
      await meshes.reached(meshId, revision, timeoutMs)
      const leftMs = Math.max(0, timeoutMs - (clock.monotonicMs() - startedMs))
      const outcome = await ledger.whenSynced(meshId, revision, leftMs)
      const here = waitResponseOf(revision, outcome, ledger.pushes.timesOf(meshId, revision))
      return replicas ? replicas.completed(meshId, here, Math.max(0, timeoutMs - (clock.monotonicMs() - startedMs))) : here
    },
    explain: (meshId, asked) => explainIn(meshes, meshId, asked, clock.wallMs()),
    async impact(mesh, results) {
      await meshes.reached(mesh.id, mesh.revision, IMPACT_WAIT_MS)
      const loaded = await meshes.get(mesh.id)
      if (loaded === undefined) throw new Error('the mesh that is asked about is gone')
      return impacts.run(mesh.organizationId, () => impactOn(loaded, results, traffic.calls(mesh.id), proxies(mesh.id)))
    },
    topology: (meshId) => traffic.topology(meshId),
    follow: (meshId, listener) => events.follow(meshId, listener),
    statusOf: (meshId, object) => {
      const model = meshes.loaded(meshId)?.model
      return gatewayApiStatusOf(model, object) ?? withEntryAddresses(model, object, conditions.statusOf(meshId, object))
    },
    wallMs: () => clock.wallMs(),
    unexpected: (error) => log.error('api.unexpected', { reason: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    bootstrapKeyHash: options.bootstrapKeyHash,
    publicUrl: () => publicUrl,
  }
  const files = options.consoleDir === undefined ? undefined : { files: consoleFiles(options.consoleDir), policy: consoleSecurityPolicy }
  const rest = await listenHttp(httpApp(apiDoors, files, xds.longPoll).fetch, options.address, options.restPort)
  if (publicUrl === '') publicUrl = `http://${options.address}:${rest.port}`
  const monitoring = await listenHttp(monitoringApp(store, xds, turnedAway).fetch, options.address, options.monitoringPort)
  log.info('control-plane.started', { rest: rest.port, xds: xds.port, monitoring: monitoring.port })

  return {
    rest: { address: options.address, port: rest.port },
    xds: { address: options.address, port: xds.port, rootCertificate: authorities.serverRoot },
    monitoring: { address: options.address, port: monitoring.port },
    ensureOrganization: (name) => ensureOrganization(store, name),
    ensureMesh: async (organization, name, trustDomain) => (await store.meshByName(organization.id, name)) ?? createMesh(organization.id, name, trustDomain),
    async createApiKey(organization: Organization, name: string, role: Role) {
      const { secret, hash } = makeCredential('key')
      await store.createApiKey(organization.id, { name, hash, role, meshId: null, expiresAtMs: null })
      return secret
    },
    async createJoinToken(mesh, namespace, serviceAccount, ttlMs) {
      const { secret, hash } = makeCredential('join')
      await store.createJoinToken(mesh.organizationId, { meshId: mesh.id, namespace, serviceAccount, expiresAtMs: clock.wallMs() + ttlMs, hash })
      return secret
    },
    proxies: (meshId) => ledger.statuses(meshId),
    workloads: (meshId) => [...(meshes.loaded(meshId)?.model.workloads() ?? [])],
    topology: (meshId) => traffic.topology(meshId),
    async close() {
      renewal.cancel()
      stopRoots()
      await acme.close()
      await modules.close()
      events.close()
      await streams.close()
      registration.close()
      await replicas?.close()
      await Promise.all([closeHttp(rest.server), closeHttp(monitoring.server), xds.close(CLOSE_GRACE_MS)])
      meshes.close()
      await audit.settled()
      await store.close()
    },
  }
}

/** Authorities that anyone may ask, and the second one's tests. */
const PUBLIC_DIRECTORIES = ['https://acme-v02.api.letsencrypt.org/directory', 'https://acme-staging-v02.api.letsencrypt.org/directory']
/** A gateway that does not take its configuration in by then is not waited for: the authority asks more than once. */
const SERVED_WITHIN_MS = 15_000

async function ensureOrganization(store: Store, name: string): Promise<Organization> {
  return (await store.organizationByName(name)) ?? store.createOrganization(name)
}

function listenHttp(fetch: (request: Request) => Response | Promise<Response>, address: string, port: number): Promise<{ server: ServerType; port: number }> {
  return new Promise((resolve, reject) => {
    const server = serveHttp({ fetch, hostname: address, port }, (info) => resolve({ server, port: info.port }))
    server.once('error', reject)
  })
}

/** Live streams of events never end by themselves: whoever is still connected is cut. */
function closeHttp(server: ServerType): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    if ('closeAllConnections' in server) server.closeAllConnections()
  })
}
