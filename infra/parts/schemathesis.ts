import { join } from 'node:path'
import { installPythonPackage } from './python-package.ts'

export const SCHEMATHESIS_VERSION = '4.32.5'

/** The interpreter that runs PyPI's `schemathesis` as a module (`-m schemathesis.cli`). @throws Error with pip's own words when it cannot be had */
export const installSchemathesis = async (): Promise<string> => join(await installPythonPackage('schemathesis', SCHEMATHESIS_VERSION), 'bin/python')
