import type { Base } from "../../src/context.ts";
import { fileSecrets } from "../../src/runtime/secrets-file.ts";
import { destroyDays, destroyDevice, rewrap, sealingKeys } from "../../src/vault.ts";

// Child of vault-kill.test.ts: makes secrets, destroys them and wraps all anew, without end, and says what it does, a line
// of JSON each. Arguments: folder of the key store, first day, root keys with the present one first.

/** What the key store uses of a Base, without a database. */
export function keyBase(folder: string, rootKeys: readonly string[]): Base & { close(): void } {
  const [rootKey, ...oldRootKeys] = rootKeys;
  const secrets = fileSecrets(folder);
  const quiet = () => undefined;
  return {
    config: { rootKey, oldRootKeys },
    now: () => Date.now(),
    log: { info: quiet, warn: quiet, error: quiet },
    random: (length: number) => crypto.getRandomValues(new Uint8Array(length)),
    secrets,
    close: () => secrets.close(),
  } as unknown as Base & { close(): void };
}

const ACCOUNTS = [1, 2];
const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);

async function main([folder, first, ...rootKeys]: string[]): Promise<void> {
  const base = keyBase(folder, rootKeys);
  say({ what: "ready" });
  await rewrap(base);
  for (let day = Number(first); ; day++) {
    for (const account of ACCOUNTS) {
      const devices = [1, day];
      const wanted = devices.map((deviceId) => ({ deviceId, scope: "account", day }));
      for (const [i, key] of (await sealingKeys(base, account, wanted)).entries()) {
        const { dayKid, deviceKid } = key!;
        say({ what: "made", account, day, deviceId: devices[i], dayKid, deviceKid });
      }
      say({ what: "days", account, before: day - 3 });
      await destroyDays(base, account, "account", day - 3);
      say({ what: "days done", account, before: day - 3 });
      say({ what: "device", account, deviceId: day - 1 });
      await destroyDevice(base, account, day - 1);
      say({ what: "device done", account, deviceId: day - 1 });
    }
    // With two root keys that change places, every copy of every object is written.
    [base.config.rootKey, base.config.oldRootKeys] = [rootKeys[day % 2], [rootKeys[(day + 1) % 2], ...rootKeys]];
    await rewrap(base);
  }
}

if (import.meta.main) await main(process.argv.slice(2));
