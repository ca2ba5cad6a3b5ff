import { isAddress } from '../match/cidr.ts'
import type { Families } from './families.ts'
import type { Workload, WorkloadPort } from './workload.ts'

/**
 * Addresses at which peers reach a port of a workload, the one to try first before the others. A port that is reached where its application has it, is so at every address of the workload;
 * one that its proxy has elsewhere, there alone. What a proxy says beyond the first and is no IP address does not count: peers would refuse it.
 */
export function reachedAddresses({ address, addresses = [address] }: Pick<Workload, 'address' | 'addresses'>, { port, listen }: Pick<WorkloadPort, 'port' | 'listen'>): readonly [string, ...string[]] {
  return listen.address === address && listen.port === port ? [address, ...addresses.filter((one) => one !== address && isAddress(one))] : [listen.address]
}

const isSix = (address: string): boolean => address.includes(':')

/** Of these, what a client of those families tries: one of each where it has both, the first before the other; else the first of its own, and the first of all where there is none. */
export function triedBy(families: Families, addresses: readonly [string, ...string[]]): { readonly address: string; readonly other?: string } {
  const [first] = addresses
  if (families !== 'both') return { address: addresses.find((one) => isSix(one) === (families === 'IPv6')) ?? first }
  const other = addresses.find((one) => isSix(one) !== isSix(first))
  return { address: first, ...(other === undefined ? {} : { other }) }
}
