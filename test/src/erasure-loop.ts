import { carryOut } from "../../src/erasure.ts";
import { runJob } from "../../src/jobs.ts";
import { LIMITS } from "../../src/limits.ts";
import { settle } from "../../src/settle.ts";
import { aDevice, anAccount, aSession, aUser } from "../database.ts";
import { stored } from "../stored.ts";
import { type LoopOptions, openFiles } from "./track-loop.ts";

// Child of erasure-kill.test.ts: accounts are made, filled and erased without end, beside one that stays. Says which
// request it makes, a line of JSON each.

const MINUTE = 60_000;

async function main(options: LoopOptions & { stays: { id: number; accountId: number }; round: number }): Promise<void> {
  const { base } = await openFiles(options);
  const other = (await openFiles(options)).base;
  for (let n = 0; ; n++) {
    const accountId = await anAccount(base.db);
    // Those of a run that was killed before it asked stay.
    const email = `p${options.round}.${n}@edge.test`;
    const device = await aDevice(base.db, {
      accountId,
      createdAt: 0,
      // A round that was killed may have left a device and no request.
      imei: `8${String(options.now + options.round * 1e7 + n)
        .padStart(14, "0")
        .slice(-14)}`,
    });
    await aSession(base, await aUser(base.db, { accountId, role: "owner", email }));
    const track = (count: number, hours: number) =>
      Array.from({ length: count }, (_, i) => ({ fixTime: options.now - hours * 60 * MINUTE - i * MINUTE }));
    await stored(base, device, track(60, 5));
    await settle(base, undefined, { all: true });
    await stored(base, device, track(30, 1));
    const name = `kill-${String(options.round).padStart(5, "0")}-${String(n).padStart(11, "0")}`;
    await base.db.$client.execute({
      sql: `INSERT INTO requests (name, type, state, level, account_id, scope, received_at, verified_at, deadline)
        VALUES (?, 'erase', 'verified', 'V0', ?, '{"kind":"account"}', ?, ?, ?)`,
      args: [name, accountId, options.now, options.now, options.now + 86_400_000],
    });
    process.stdout.write(`${JSON.stringify({ name, accountId })}\n`);
    // Two runners, a settler and a clock that jumps.
    await Promise.all([carryOut(base), carryOut(other), runJob(other, "settle").catch(() => undefined)]);
    base.advance(LIMITS.erasureLeaseMs * (n % 3));
    await carryOut(base);
  }
}

if (process.argv[2] !== undefined) await main(JSON.parse(process.argv[2]));
