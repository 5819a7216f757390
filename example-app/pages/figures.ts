/** One bar of a chart. */
export interface Bar {
  readonly label: string
  readonly value: number
}

/** One ferry line in the report. */
export interface Route {
  readonly name: string
  readonly passengers: number
  /** Compared with the year before: 0.04 is four per cent more. */
  readonly change: number
  /** The share of crossings that left at most five minutes late. */
  readonly onTime: number
}

/** Passengers of all lines by month. Invented. */
export const PASSENGERS: readonly Bar[] = [
  { label: 'Jan', value: 48_200 },
  { label: 'Feb', value: 45_900 },
  { label: 'Mar', value: 57_300 },
  { label: 'Apr', value: 71_800 },
  { label: 'May', value: 84_100 },
  { label: 'Jun', value: 102_400 },
  { label: 'Jul', value: 131_700 },
  { label: 'Aug', value: 128_300 },
  { label: 'Sep', value: 93_600 },
  { label: 'Oct', value: 74_500 },
]

/** The lines since January. Invented; the passengers add up to those by month. */
export const ROUTES: readonly Route[] = [
  { name: 'Oldquay – Skerry Island', passengers: 241_300, change: 0.062, onTime: 0.97 },
  { name: 'Oldquay – North Sound', passengers: 187_600, change: 0.031, onTime: 0.94 },
  { name: 'Lighthouse Point – Marrow Bay', passengers: 152_900, change: -0.018, onTime: 0.91 },
  { name: 'Marrow Bay – Heron Spit', passengers: 118_700, change: 0.044, onTime: 0.98 },
  { name: 'North Sound – Tern Holm', passengers: 84_200, change: -0.007, onTime: 0.89 },
  { name: 'Heron Spit – Sandhaven', passengers: 53_100, change: 0.117, onTime: 0.95 },
]

/** An employee of Harbourline. */
export interface Member {
  readonly name: string
  readonly email: string
  readonly groups: readonly string[]
}

/** The employees. Invented. */
export const MEMBERS: readonly Member[] = [
  { name: 'Alice Adams', email: 'alice@harbourline.example', groups: ['admin', 'staff'] },
  { name: 'Bob Brown', email: 'bob@harbourline.example', groups: ['staff'] },
  { name: 'Chidi Okafor', email: 'chidi@harbourline.example', groups: ['staff', 'captains'] },
  { name: 'Dana Lindqvist', email: 'dana@harbourline.example', groups: ['staff', 'timetable'] },
  { name: 'Emre Yıldız', email: 'emre@harbourline.example', groups: ['staff', 'captains'] },
]

/** A refund for a cancelled crossing. */
export interface Refund {
  readonly number: string
  readonly passenger: string
  readonly crossing: string
  /** In euros. */
  readonly amount: number
}

/** The open refunds. Invented. */
export const REFUNDS: readonly Refund[] = [
  { number: '2041', passenger: 'Ida Holm', crossing: 'Oldquay – Skerry Island, 14 November', amount: 48.5 },
  { number: '2042', passenger: 'Jonas Reet', crossing: 'Oldquay – North Sound, 14 November', amount: 112 },
  { number: '2043', passenger: 'Marta Lindh', crossing: 'North Sound – Tern Holm, 16 November', amount: 26.4 },
]
