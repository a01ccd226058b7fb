import { createHash } from "node:crypto";
import type { Manifest, ManifestFile } from "../src/export-archive.ts";
import { LIMITS } from "../src/limits.ts";
import { toHex } from "../src/seal.ts";
import { ZipError, ZipReader } from "./unzip.ts";

type Row = Record<string, unknown>;
/** Asks the platform. */
export type Ask = (method: string, path: string, body?: Row | Uint8Array) => Promise<Row>;

/** What an export tells and an import cannot make, and why. */
const NOT_IMPORTED: Readonly<Record<string, string>> = {
  accounts: "the account is there already, with its own settings",
  users: "people join by invitation",
  apiKeys: "keys are made anew",
  customerKeys: "keys are registered by who holds them",
  acceptances: "only the person accepts",
};
const IMPORTED = ["devices", "deviceGroups", "addresses"] as const;

/**
 * Checks an export against its manifest and puts it into an empty account.
 * @param path of the ZIP, or the whole of it
 * @throws {ZipError} it is no export, or was changed
 */
export async function importArchive(path: string | Uint8Array, accountId: number, ask: Ask): Promise<Row> {
  const zip = new ZipReader(path);
  try {
    const { manifest, keyId } = await verified(zip);
    const read = async (table: (typeof IMPORTED)[number]) => {
      const file = manifest.files.find((file) => file.table === table && file.name.endsWith(".jsonl"));
      const text = file === undefined ? "" : await zip.text(file.name);
      return text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Row]));
    };
    const [devices, groups, addresses] = await Promise.all(IMPORTED.map(read));
    const groupIds = groups!.map(({ id }) => id);
    const at = `/v1/admin/accounts/${accountId}/imports`;
    const made = await ask("POST", at, {
      groups: groups!.map(({ name, retentionDays, createdAt }) => ({ name, retentionDays, createdAt })),
      devices: devices!.map(({ id: _, accountId: __, groupId, ...device }) => ({
        ...device,
        group: groupId === null ? null : groupIds.indexOf(groupId),
      })),
      addresses: addresses!.map(({ accountId: _, ...address }) => address),
    });
    const ids = new Map(devices!.map(({ id }, i) => [id as number, (made.devices as number[])[i]!]));
    let [positions, past] = [0, 0];
    for (const { name, deviceId } of manifest.files.filter((file) => file.name.endsWith(".blocks"))) {
      for await (const body of wholeBlocks(zip.read(name))) {
        const answer = await ask("POST", `${at}/${ids.get(deviceId!)}`, body);
        positions += Number(answer.stored);
        past += Number(answer.past);
      }
    }
    const counts = { devices: devices!.length, groups: groups!.length, addresses: addresses!.length };
    return { accountId, ...counts, positions, past, signedBy: keyId, notImported: leftOut(manifest.files) };
  } finally {
    zip.close();
  }
}

/** Reads the manifest, its signature, and every file that it names. */
export async function verified(zip: ZipReader): Promise<{ manifest: Manifest; keyId: string }> {
  const bytes = await zip.bytes("manifest.json");
  const said = JSON.parse(await zip.text("manifest.sig")) as { keyId: string; publicKey: string; signature: string };
  const raw = Buffer.from(said.publicKey, "hex");
  const key = await crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"]);
  const isTrue = await crypto.subtle.verify("Ed25519", key, Buffer.from(said.signature, "hex"), new Uint8Array(bytes));
  if (!isTrue) throw new ZipError("Cannot import: the manifest is not as it was signed");
  const own = toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", raw))).slice(0, 16);
  if (own !== said.keyId) throw new ZipError("Cannot import: the manifest names another key than it was signed with");
  const manifest = JSON.parse(bytes.toString("utf8")) as Manifest;
  if (manifest.format !== "ephemeris export" || manifest.version !== 1) {
    throw new ZipError("Cannot import: this is no export of version 1");
  }
  for (const { name, sha256 } of manifest.files) {
    const hash = createHash("sha256");
    for await (const chunk of zip.read(name)) hash.update(chunk);
    if (hash.digest("hex") !== sha256) throw new ZipError(`Cannot import: ${name} is not as the manifest says`);
  }
  return { manifest, keyId: said.keyId };
}

/** As many whole blocks as one request takes. */
async function* wholeBlocks(chunks: AsyncIterable<Buffer>): AsyncGenerator<Uint8Array> {
  let kept = Buffer.alloc(0);
  for await (const chunk of chunks) {
    kept = Buffer.concat([kept, chunk]);
    let end = 0;
    while (end + 4 <= kept.length && end + 4 + kept.readUInt32LE(end) <= kept.length) {
      const next = end + 4 + kept.readUInt32LE(end);
      if (next > LIMITS.importBytes / 2) break;
      end = next;
    }
    if (kept.length < LIMITS.importBytes / 4 || end === 0) continue;
    yield Uint8Array.from(kept.subarray(0, end));
    kept = kept.subarray(end);
  }
  if (kept.length > 0) yield Uint8Array.from(kept);
}

function leftOut(files: readonly ManifestFile[]): string[] {
  const imported: readonly string[] = IMPORTED;
  const tables = new Set(
    files.flatMap(({ table }) => (table === undefined || imported.includes(table) ? [] : [table])),
  );
  const sealed = files.filter(({ name }) => name.endsWith("/sealed.jsonl"));
  return [
    ...[...tables].map((table) => (table in NOT_IMPORTED ? `${table}: ${NOT_IMPORTED[table]}` : table)),
    ...sealed.map(({ name }) => `${name}: sealed to the account that it came from`),
  ];
}
