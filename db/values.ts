/** How columns are read, by the type's object id, alike from both databases. What is not listed stays text, as drizzle expects of temporal types. */
export const valueReaders: Readonly<Record<number, (text: string) => unknown>> = {
  16: (text) => text === 't', // bool
  17: (text) => Buffer.from(text.slice(2), 'hex'), // bytea, in its form \x00ff
  20: Number, // int8: revisions and positions stay far below 2^53
  21: Number, // int2
  23: Number, // int4
  114: (text) => JSON.parse(text), // json
  3802: (text) => JSON.parse(text), // jsonb
}

/** Types whose own reader, in PGlite, would make more than text of them: dates, timestamps, intervals. */
export const textTypes: readonly number[] = [1082, 1114, 1184, 1186, 1115, 1182, 1185, 1187, 1231]
