/** The families of a proxy's addresses: what it binds, and which connections can be captured. */
export type Families = 'IPv4' | 'IPv6' | 'both'

/** By all addresses that it has, or the one by which it is called. One without any is of IPv4, as Istio's. */
export function familiesOf({ address, addresses = [address] }: { readonly address: string; readonly addresses?: readonly string[] }): Families {
  const six = addresses.some((one) => one.includes(':'))
  if (!six) return 'IPv4'
  return addresses.some((one) => !one.includes(':')) ? 'both' : 'IPv6'
}

/** Any address of these, IPv4 first. */
export const wildcardsOf = (families: Families): readonly [string, ...string[]] => (families === 'IPv4' ? ['0.0.0.0'] : families === 'IPv6' ? ['::'] : ['0.0.0.0', '::'])

/** The loopback addresses of these, IPv4 first. */
export const loopbacksOf = (families: Families): readonly [string, ...string[]] => (families === 'IPv4' ? ['127.0.0.1'] : families === 'IPv6' ? ['::1'] : ['127.0.0.1', '::1'])
