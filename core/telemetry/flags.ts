/** Why a request did not go as the application would have it: Envoy's response flags (`%RESPONSE_FLAGS%`), those that Weft sets, in words for people. */
export const responseFlags = {
  NR: 'no route, or no filter chain, for the request',
  NC: 'the route leads to a cluster that is not known',
  UH: 'no healthy endpoint in the cluster',
  UF: 'the connection to the endpoint failed',
  UC: 'the endpoint closed the connection',
  UO: 'a circuit breaker is open: too many connections or requests',
  UT: 'the endpoint did not answer in time',
  UR: 'the endpoint reset the stream',
  UPE: 'the endpoint broke the protocol',
  URX: 'all tries allowed were used up',
  LR: 'the proxy reset the connection itself',
  DC: 'the caller closed the connection',
  DPE: 'the caller broke the protocol',
  DT: 'the request took longer than its bound',
  SI: 'the stream was silent for too long',
  DI: 'a delay was injected',
  FI: 'an abort was injected',
  RL: 'a rate limit was reached',
  UAEX: 'a policy denied it',
  OM: 'the proxy has too much to do',
} as const

export type ResponseFlag = keyof typeof responseFlags
