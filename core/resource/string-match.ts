import { z } from 'zod'
import { judged, regexComplaint, text } from './field.ts'
import type { Complaint } from './field.ts'

const fields = {
  exact: text().optional().describe('The value, exactly.'),
  prefix: text().optional().describe('What the value starts with.'),
  regex: text().optional().describe('A regular expression in RE2 syntax that matches the whole value.'),
}

/** Istio's StringMatch: one of exact, prefix, regex (whole string, RE2). None of them: any value that is there. */
export const stringMatch = z.strictObject(fields).superRefine(
  judged(function* (value): Iterable<Complaint> {
    yield* matchComplaints(value)
    if (value.prefix === '') yield { at: ['prefix'], rule: 'a prefix that is not empty', hint: 'leave the match out to match every value' }
  }),
)
export type StringMatch = z.infer<typeof stringMatch>

/** The same for a path, where the empty prefix stands for every path. */
export const pathMatch = z.strictObject(fields).superRefine(judged(matchComplaints))

function* matchComplaints(value: StringMatch): Iterable<Complaint> {
  const given = Object.keys(value)
  if (given.length > 1) yield { at: [given[1] ?? ''], code: 'object.field-conflict', rule: 'only one of exact, prefix, regex may be set' }
  if (value.regex === '') yield { at: ['regex'], rule: 'a regular expression that is not empty' }
  const complaint = value.regex ? regexComplaint(value.regex) : undefined
  if (complaint !== undefined) yield { at: ['regex'], value: value.regex, rule: complaint }
}
