// A process of its own, which takes a lock and does with it as it is told: see `startLockHolder`.
import { createInterface } from 'node:readline'
import { OidcError } from '../../../lib/errors.ts'
import type { Lease } from '../../../lib/state/shared-state.ts'
import { openState } from './shared-states.ts'

const [, , name = '', path = '', key = '', seconds] = process.argv
const { state } = await openState(name, path)

/** Answers each question, until there are no more; then the lock is given back, whoever has it. */
async function hold(lease: Lease): Promise<void> {
  console.log('held')
  for await (const _question of createInterface({ input: process.stdin })) {
    console.log(answer(lease))
    return
  }
}

function answer(lease: Lease): string {
  try {
    lease.assertHeld()
    return 'held'
  } catch (error) {
    return error instanceof OidcError ? error.code : String(error)
  }
}

await state.lock(key, Number(seconds), hold)
console.log('given back')
process.exit()
