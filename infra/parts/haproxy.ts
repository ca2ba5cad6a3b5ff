import { installDebianPackage } from './debian-package.ts'

/** The path of Debian's HAProxy, installed when it is not there yet. @throws Error with apt's own words when it cannot be had */
export const installHaproxy = (): Promise<string> => installDebianPackage('haproxy', '/usr/sbin/haproxy')
