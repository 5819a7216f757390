import { MemoryStore, type Store } from 'express-session'

/** Stores of several nodes with one memory behind them: what one writes, the others read, and each is an object of its own. */
export function createSharedStores(count: number): readonly Store[] {
  const stores = Array.from({ length: count }, () => new MemoryStore())
  const sessions: unknown = Reflect.get(stores[0] ?? {}, 'sessions')
  return stores.map((store) => Object.assign(store, { sessions }))
}

/** Something that happens when the test says so. */
export interface Gate {
  /** Resolves when somebody stands before the gate. */
  readonly hasArrived: Promise<void>
  /** Waits until the gate is opened. */
  pass(): Promise<void>
  open(): void
}

export function createGate(): Gate {
  let arrive = (): void => undefined
  let open = (): void => undefined
  const hasArrived = new Promise<void>((resolve) => {
    arrive = resolve
  })
  const isOpen = new Promise<void>((resolve) => {
    open = resolve
  })
  return {
    hasArrived,
    pass: () => {
      arrive()
      return isOpen
    },
    open: () => open(),
  }
}
