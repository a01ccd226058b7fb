import { CCE_DOUBTFUL_PREFIXES, CCE_GROUPS, CCE_PREFIXES, PARAMETERS } from "./cce-parameters.ts";
import { bits, SLOT, TAIL } from "./columns.ts";

// PARAMETERS as numbers that the readers of a packet look up by id.

/** Ids that the readers know by themselves. */
export const CCE_IDS = { event: 0x01, status: 0x05, cell: 0x0e, inputs: 0x15, network: 0x4b } as const;

/** Bytes of the current cell: MCC, MNC and LAC u16, cell id u32, level i16. */
export const CELL_BYTES = 12;
export const CELL_BITS: number = bits("mccMnc", "lac", "cid", "rxLevel");

/** Keys of tail entries, to which the id is added. */
export const GROUP_1_KEY: number = TAIL.cceGroup;
export const GROUP_N_KEY: number = TAIL.cceGroup * CCE_GROUPS.length;

/** While a packet is read, the fix status is a column too, in the slot of the flags. */
export const STATUS_SLOT: number = SLOT.flags;
export const STATUS_BIT: number = 1 << (STATUS_SLOT - 1);
/** A bit of the mask while a packet is read: a doubtful prefix was met. */
export const DOUBTFUL_BIT: number = 1 << 30;

/**
 * A rule is the slot of a column, SIGNED, WIDER (group 1 has a narrow form of it), and the factor from FACTOR_SHIFT
 * on; 0 for what goes to the tail.
 */
export const RULE = { SLOT: 0x3f, SIGNED: 0x40, WIDER: 0x80, FACTOR_SHIFT: 8 } as const;

/** Rules of the one-byte ids, by group; none in group n. */
export const RULES: readonly Int32Array[] = CCE_GROUPS.map((group) => {
  const rules = new Int32Array(256);
  for (const parameter of PARAMETERS) {
    if (parameter.group !== group || !("column" in parameter)) continue;
    const signed = "signed" in parameter ? RULE.SIGNED : 0;
    const wider = group !== 1 && (parameter.column === "event" || parameter.column === "inputs") ? RULE.WIDER : 0;
    rules[parameter.id] = SLOT[parameter.column] | signed | wider | (parameter.times << RULE.FACTOR_SHIFT);
  }
  if (group === 1) rules[CCE_IDS.status] = STATUS_SLOT | (1 << RULE.FACTOR_SHIFT);
  return rules;
});

/** By first byte of an id: 1 when it always has a second, 2 when it perhaps has. */
export const PREFIX: Uint8Array = Uint8Array.from({ length: 256 }, (_, id) =>
  CCE_PREFIXES.includes(id) ? 1 : CCE_DOUBTFUL_PREFIXES.includes(id) ? 2 : 0,
);
