// What the store of tracks costs beside the rows that it replaced. `npm run bench:store`; takes about 40 minutes, needs
// 6 GB of disk. `-- --only <name>` runs one of them, `-- --quick` all of them on a tenth of the data, and
// `-- --price rowsWritten=0.8` changes what the cost is worked out with.
import { parseArgs } from "node:util";
import { measureAppend } from "./store/append.ts";
import { pricesWith } from "./store/cost.ts";
import { measureFull } from "./store/full.ts";
import { measureLive } from "./store/live.ts";
import { makeRows } from "./store/rows-under-test.ts";
import { measureRowsWritten } from "./store/rows-written.ts";
import { makeTracks } from "./store/tracks-under-test.ts";
import type { MakeStore } from "./store/under-test.ts";

/** The baseline first. */
const STORES: Record<string, MakeStore> = { rows: makeRows, tracks: makeTracks };

const MEASUREMENTS = {
  append: measureAppend,
  rows: measureRowsWritten,
  full: measureFull,
  live: measureLive,
} as const;

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    /** Leaves a store out: to measure one alone. */
    without: { type: "string" },
    quick: { type: "boolean", default: false },
    price: { type: "string", multiple: true, default: [] },
  },
});
if (values.only !== undefined && !(values.only in MEASUREMENTS)) {
  throw new Error(`--only is one of ${Object.keys(MEASUREMENTS).join(", ")}`);
}
const options = { quick: values.quick, prices: pricesWith(values.price) };
const stores = Object.fromEntries(Object.entries(STORES).filter(([name]) => name !== values.without));
for (const [name, measure] of Object.entries(MEASUREMENTS)) {
  if (values.only === undefined || values.only === name) await measure(stores, options);
}
