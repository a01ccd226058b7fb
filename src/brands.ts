import type { Base } from "./context.ts";

/** What a hostname shows: a reseller's name and colours, and the reseller's own policy and terms. */
export interface Brand {
  /** null: the platform itself */
  id: number | null;
  name: string;
  /** #rrggbb */
  accent: string | null;
  hasLogo: boolean;
}

export const PLATFORM_BRAND: Brand = { id: null, name: "Ephemeris", accent: null, hasLogo: false };

/** The brand of a hostname; the platform's own where there is none. */
export async function brandFor(_base: Base, _hostname: string): Promise<Brand> {
  return PLATFORM_BRAND;
}
