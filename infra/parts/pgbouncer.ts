import { installDebianPackage } from './debian-package.ts'

/** The path of Debian's pgbouncer, installed when it is not there yet. @throws Error with apt's own words when it cannot be had */
export const installPgbouncer = (): Promise<string> => installDebianPackage('pgbouncer', '/usr/sbin/pgbouncer')
