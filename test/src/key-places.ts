import type { Base, Db, SecretCopy, Secrets } from "../../src/context.ts";
import { fileSecrets } from "../../src/runtime/secrets-file.ts";
import { openingKeys, type SealingKey } from "../../src/vault.ts";
import { type CopyLabel, type KeyObject, unwrap } from "../../src/vault-object.ts";
import { aBase, type TestBase } from "../database.ts";

export interface Call {
  copy: CopyLabel;
  what: "get" | "put" | "delete" | "list";
  name: string;
}

/** The three places of a key store in memory, whose calls are counted and can be made to fail. */
export class KeyPlaces implements Secrets {
  readonly copies: readonly [SecretCopy, SecretCopy];
  readonly escrow: SecretCopy;
  /** Every call since the start, or since it was emptied. */
  readonly calls: Call[] = [];
  /** Calls that still succeed; all after them fail, as when the process ends there. */
  left = Number.POSITIVE_INFINITY;
  /** Runs once, after the next read and before its reader has the answer. */
  meanwhile: (() => Promise<unknown>) | null = null;
  readonly #together: boolean;

  /** @param together they read and write several objects at once, as files do; one call then */
  constructor(behind: Secrets = fileSecrets(null), together = false) {
    this.#together = together;
    this.copies = [this.#watched("a", behind.copies[0]), this.#watched("b", behind.copies[1])];
    this.escrow = this.#watched("escrow", behind.escrow);
  }

  of(label: CopyLabel): SecretCopy {
    return label === "escrow" ? this.escrow : this.copies[label === "a" ? 0 : 1];
  }

  #watched(copy: CopyLabel, store: SecretCopy): SecretCopy {
    const called = async (what: Call["what"], name: string) => {
      this.calls.push({ copy, what, name });
      // Lets others run, as a place that is far away does.
      await new Promise((resolve) => setImmediate(resolve));
      if (this.left-- <= 0) throw new Error("The place does not answer");
    };
    const others = async () => {
      const work = this.meanwhile;
      this.meanwhile = null;
      await work?.();
    };
    const several: Pick<SecretCopy, "getAll" | "putAll"> = {
      getAll: async (names) => {
        await called("get", names.join(" "));
        const found = await store.getAll!(names);
        await others();
        return found;
      },
      putAll: async (writes) => {
        await called("put", writes.map(({ name }) => name).join(" "));
        return store.putAll!(writes);
      },
    };
    return {
      ...(this.#together ? several : {}),
      get: async (name) => {
        await called("get", name);
        const found = await store.get(name);
        await others();
        return found;
      },
      put: async (name, bytes, expected) => {
        await called("put", name);
        return store.put(name, bytes, expected);
      },
      delete: async (name) => {
        await called("delete", name);
        return store.delete(name);
      },
      list: async (prefix) => {
        await called("list", prefix);
        return store.list(prefix);
      },
    };
  }

  /** Calls of a kind since the list was emptied; `name`: of this object only. */
  count(what: Call["what"], name?: string): number {
    return this.calls.filter((call) => call.what === what && (name === undefined || call.name === name)).length;
  }

  /** What a copy holds, opened. Null: it is not there, or does not open. */
  async opened(base: Base, label: CopyLabel, name: string): Promise<KeyObject | null> {
    const stored = await this.of(label).get(name);
    if (stored === null) return null;
    const found = await unwrap(base, label, name, stored.bytes);
    return found.state === "good" ? found.object : null;
  }

  async garble(label: CopyLabel, name: string): Promise<void> {
    const { bytes, version } = (await this.of(label).get(name))!;
    const altered = bytes.slice();
    altered[Math.floor(altered.length / 2)] ^= 1;
    await this.of(label).put(name, altered, version);
  }

  /** Puts bytes in the place of an object, as a restore of the bucket would. */
  async replace(label: CopyLabel, name: string, bytes: Uint8Array): Promise<void> {
    await this.of(label).put(name, bytes, (await this.of(label).get(name))?.version ?? null);
  }
}

/** An isolate of its own: a memory of its own over the same places. */
export function anIsolate(db: Db, secrets: Secrets, settings: Parameters<typeof aBase>[1] = {}): TestBase {
  return { ...aBase(db, settings), secrets };
}

/** Whether a key that sealed still opens, for somebody else: null where the key store says that it is gone. */
export async function opens(base: Base, accountId: number, deviceId: number, sealed: SealingKey): Promise<boolean> {
  const { dayKid, deviceKid, key } = sealed;
  const [found] = await openingKeys(base, accountId, [{ deviceId, dayKid, deviceKid }]);
  if (found === null) return false;
  const iv = new Uint8Array(12);
  const plain = new Uint8Array([1, 2, 3]);
  const bytes = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, plain);
  return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv }, found, bytes))[2] === 3;
}
