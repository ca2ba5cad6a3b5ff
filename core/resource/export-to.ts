import { fault } from '../fault/fault.ts'
import type { Fault } from '../fault/fault.ts'
import { isDnsLabel } from './host-name.ts'

/**
 * Istio's rules for `exportTo`: `.`, `*`, `~` or namespaces, none twice, `*` and `~` alone.
 * `~` (to nobody) is for ServiceEntry alone; a rule that selects workloads stays in its namespace.
 */
export function exportToFaults(exportTo: readonly string[] | undefined, about: { namespace: string; nobodyAllowed?: boolean; ownNamespaceOnly?: boolean }): Fault[] {
  const faults: Fault[] = []
  const seen = new Set<string>()
  for (const [index, entry] of (exportTo ?? []).entries()) {
    const path = `spec.exportTo[${index}]`
    const meaning = entry === '.' ? about.namespace : entry
    if (!['.', '*', '~'].includes(entry) && !isDnsLabel(entry)) faults.push(fault('object.field-range', { path, value: entry, rule: '., *, or the name of a namespace' }))
    else if (entry === '~' && about.nobodyAllowed !== true) faults.push(fault('object.field-range', { path, value: entry, rule: '., *, or the name of a namespace', hint: 'only a ServiceEntry may be exported to nobody' }))
    else if (about.ownNamespaceOnly === true && entry !== '.' && entry !== about.namespace) faults.push(fault('object.field-conflict', { path, value: entry, rule: 'with a workloadSelector only its own namespace, .' }))
    if (seen.has(meaning)) faults.push(fault('object.field-conflict', { path, value: entry, rule: 'each namespace once' }))
    seen.add(meaning)
  }
  for (const alone of ['*', '~']) {
    if (seen.has(alone) && seen.size > 1) faults.push(fault('object.field-conflict', { path: 'spec.exportTo', value: exportTo, rule: `${alone} alone, or namespaces` }))
  }
  return faults
}
