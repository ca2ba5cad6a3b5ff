import { enableCompileCache } from 'node:module'
import path from 'node:path'
import { describeFault, Faults } from '#core/fault/fault.ts'
import { cacheFolder } from './cache-folder.ts'
import { exitCodes } from './exit-codes.ts'
import { ApiError } from './client.ts'
import { UsageError } from './usage.ts'
import { commands, findCommand } from './commands.ts'

// What was compiled once, and stripped of its types, is not again; processes and threads that are started from here do likewise.
process.env['NODE_COMPILE_CACHE'] ??= path.join(cacheFolder(), 'compiled')
enableCompileCache(process.env['NODE_COMPILE_CACHE'])

const [name, ...args] = process.argv.slice(2)

function printUsage(): void {
  process.stderr.write('usage: weft COMMAND [arguments]\n\n')
  for (const command of commands) process.stderr.write(`  ${command.name.padEnd(14)} ${command.summary}\n`)
  process.stderr.write('\nweft COMMAND --help says more.\n')
}

async function main(): Promise<number> {
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    printUsage()
    return name === undefined ? exitCodes.usage : exitCodes.done
  }
  const command = findCommand(name)
  if (!command) {
    process.stderr.write(`weft: there is no command ${JSON.stringify(name)}\n`)
    printUsage()
    return exitCodes.usage
  }
  const { run, usage } = await command.load()
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(`${usage}\n`)
    return exitCodes.done
  }
  return run(args)
}

// Whoever reads the output may stop reading, as `head` does: that is the end, and no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

try {
  process.exitCode = await main()
} catch (error) {
  // By name: what runs from a build brings classes of its own.
  if (error instanceof UsageError || (error instanceof Error && error.name === 'UsageError')) {
    process.stderr.write(`weft ${name}: ${error.message}\n`)
    process.exitCode = exitCodes.usage
  } else if (error instanceof ApiError) {
    process.stderr.write(`${error.words()}\n`)
    process.exitCode = error.exitCode
  } else if (error instanceof Faults) {
    for (const fault of error.faults) process.stderr.write(`${fault.source ? `${fault.source.file}:${fault.source.line}: ` : ''}${describeFault(fault)}\n`)
    process.exitCode = exitCodes.failed
  } else {
    process.stderr.write(`weft ${name}: ${error instanceof Error ? error.message : String(error)}\n`)
    if (process.env['WEFT_DEBUG']) console.error(error)
    process.exitCode = exitCodes.failed
  }
  // A server that found one of its ports taken has others open, and would wait there for ever.
  process.exit()
}
