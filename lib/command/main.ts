#!/usr/bin/env node
import { runCommand } from './command.ts'

// Not `process.exit()`: what was written may still be on its way.
process.exitCode = await runCommand(process.argv.slice(2), {
  env: process.env,
  print: (text) => process.stdout.write(text),
  warn: (text) => process.stderr.write(text),
})
