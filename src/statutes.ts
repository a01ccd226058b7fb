// Laws that make their addressee keep something for a time. A customer says under which they are (statutory_profiles); the
// rows are parameters for lawyers to check and extend, and no legal advice. What they keep is positions: orders and the
// like are obligations, each with an end of its own (src/obligations.ts).

export interface Statute {
  /** Where it holds: ISO 3166, with the city where it is a city's. */
  region: string;
  /** How long at least, in days from the fix. */
  days: number;
}

export const STATUTES = {
  /** Shenzhen's rules on the monitoring of passenger vehicles: six months. */
  "cn-shenzhen-passenger": { region: "CN-SZ", days: 184 },
  /** Dynamic supervision of road transport vehicles, PRC: six months. */
  "cn-road-transport": { region: "CN", days: 184 },
} as const satisfies Record<string, Statute>;

export type StatuteName = keyof typeof STATUTES;

export const isStatute = (name: string): name is StatuteName => Object.hasOwn(STATUTES, name);
