/** What of a position is not kept, as bits of a collection profile. */
export const DROP = { speed: 1, cell: 2, driver: 4 } as const;
/** From here on two bits: row of ROUNDED_DECIMALS. */
export const ROUND_SHIFT = 3;
/** All bits that say how coordinates are rounded. */
export const ROUND: number = 3 << ROUND_SHIFT;
/** Decimals of latitude and longitude that are kept; null keeps all. */
export const ROUNDED_DECIMALS = [null, 4, 3, 2] as const;
/** All bits of a profile. */
export const PROFILE_BITS: number = DROP.speed | DROP.cell | DROP.driver | ROUND;
