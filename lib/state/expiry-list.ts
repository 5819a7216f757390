/** What can be in such a list: it brings along the fields with which the list finds its way, for there may be millions. */
export interface Listed<Item> {
  /** In milliseconds since 1970. */
  readonly endsAt: number
  row: Row<Item> | undefined
  before: Item | undefined
  after: Item | undefined
}

/** Remembers what ends when, and lets go of it some time after. Every operation takes the same time, however many there are. */
export interface ExpiryList<Item> {
  add(item: Item): void
  /** Takes out what is in it. */
  remove(item: Item): void
}

interface Row<Item> {
  first: Item | undefined
  last: Item | undefined
}

/** How many of a row are let go of with each addition: more than come in, so that what has ended never gathers. */
const AT_ONCE = 2

/**
 * Keeps a row for each magnitude of life. Within one, no life is more than double another, so what came first ends first, or
 * nearly, and only the head needs to be looked at. What has ended goes when others come, and so never holds more memory than
 * what lived before it did. There are no timers.
 *
 * @param most Where there are more than so many, one that ends soonest, or nearly, has to go.
 * @param forget Is told of each that was let go of; not of those that `remove` took out.
 */
export function createExpiryList<Item extends Listed<Item>>(
  most: number,
  forget: (item: Item) => void,
): ExpiryList<Item> {
  const rows = new Map<number, Row<Item>>()
  let size = 0

  function remove(item: Item): void {
    unlink(item)
    size -= 1
  }

  function letGo(item: Item): void {
    remove(item)
    forget(item)
  }

  function letGoOfEnded(now: number): void {
    for (const row of rows.values()) {
      for (let count = 0; count < AT_ONCE && row.first !== undefined && row.first.endsAt <= now; count++) {
        letGo(row.first)
      }
    }
  }

  function letGoOfSoonest(): void {
    let soonest: Item | undefined
    for (const { first } of rows.values()) {
      if (first !== undefined && (soonest === undefined || first.endsAt < soonest.endsAt)) soonest = first
    }
    if (soonest !== undefined) letGo(soonest)
  }

  return {
    remove,
    add(item) {
      const now = Date.now()
      letGoOfEnded(now)
      if (size >= most) letGoOfSoonest()
      append(rowFor(rows, item.endsAt - now), item)
      size += 1
    },
  }
}

/** The row of the lives of one magnitude. */
function rowFor<Item>(rows: Map<number, Row<Item>>, life: number): Row<Item> {
  const magnitude = Math.floor(Math.log2(Math.max(1, life)))
  const known = rows.get(magnitude)
  if (known !== undefined) return known
  const row = { first: undefined, last: undefined }
  rows.set(magnitude, row)
  return row
}

function append<Item extends Listed<Item>>(row: Row<Item>, item: Item): void {
  item.row = row
  item.before = row.last
  if (row.last === undefined) row.first = item
  else row.last.after = item
  row.last = item
}

function unlink<Item extends Listed<Item>>({ row, before, after }: Item): void {
  if (before !== undefined) before.after = after
  else if (row !== undefined) row.first = after
  if (after !== undefined) after.before = before
  else if (row !== undefined) row.last = before
}
