#!/usr/bin/env node
import { runCommand } from './command.ts'

// Not `process.exit()`, which would drop output that is not yet written.
process.exitCode = await runCommand(process.argv.slice(2), {
  env: process.env,
  print: (text) => process.stdout.write(text),
  warn: (text) => process.stderr.write(text),
})
