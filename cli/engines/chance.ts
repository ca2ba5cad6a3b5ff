/** So rare that no run of any number of tests will see it: a count that is rarer is no chance. */
const RARE = 1e-9

/** Whether a count of independent draws would come about by chance less than once in a thousand million runs, by the exact binomial distribution. */
export function isUnlikely(count: number, times: number, share: number): boolean {
  if (share <= 0 || share >= 1) return count !== (share <= 0 ? 0 : times)
  return tail(count, times, share) < RARE
}

/** The probability of a count so far from the mean, or further, on its side. */
function tail(count: number, times: number, share: number): number {
  const above = count > times * share
  let term = Math.exp(logChoose(times, count) + count * Math.log(share) + (times - count) * Math.log(1 - share))
  let sum = term
  for (let at = count; above ? at < times : at > 0; at += above ? 1 : -1) {
    term *= above ? ((times - at) / (at + 1)) * (share / (1 - share)) : (at / (times - at + 1)) * ((1 - share) / share)
    sum += term
  }
  return sum
}

function logChoose(of: number, some: number): number {
  let sum = 0
  for (let index = 1; index <= some; index++) sum += Math.log((of - some + index) / index)
  return sum
}
