import { ByteSink, encodeStored, StoredPositions } from "../codec/segment.ts";
import type { Platform } from "../tools/platform.ts";
import { StoredCount } from "./prepared.ts";
import { Movement } from "./store/movement.ts";

// Tracks that a platform has from its first moment on: as an import brings them, which stores what it is given.

const BLOCK = 1000;
const BLOCKS_A_BODY = 10;

/** The tracks of some devices up to a moment, a position every `stepS`, in bodies of an import. */
export function tracksUntil(until: number, devices: number, each: number, stepS: number): Uint8Array<ArrayBuffer>[][] {
  const movement = new Movement(Array<number>(devices).fill(1), until - each * stepS * 1000, stepS);
  return Array.from({ length: devices }, (_, device) => {
    const bodies: Uint8Array<ArrayBuffer>[] = [];
    for (let made = 0; made < each; made += BLOCK * BLOCKS_A_BODY) {
      const blocks: Uint8Array[] = [];
      const rows = Math.min(BLOCK * BLOCKS_A_BODY, each - made);
      for (let at = 0; at < rows; at += BLOCK) blocks.push(...blockOf(movement, device, Math.min(BLOCK, rows - at)));
      bodies.push(new Uint8Array(Buffer.concat(blocks)));
    }
    return bodies;
  });
}

function blockOf(movement: Movement, device: number, rows: number): [length: Uint8Array, block: Uint8Array] {
  const { table, receivedAt } = movement.batch(Array<number>(rows).fill(device + 1));
  const stored = new StoredPositions(rows);
  for (let row = 0; row < rows; row++) stored.add(table, row, 0, 1, 0, receivedAt, false);
  const sink = new ByteSink();
  encodeStored(
    stored,
    Uint32Array.from({ length: rows }, (_, row) => row),
    0,
    rows,
    sink,
  );
  const length = Buffer.alloc(4);
  length.writeUInt32LE(sink.length);
  return [length, sink.bytes.slice(0, sink.length)];
}

/** Imports tracks of an account, of its devices in their order. */
export async function importTracks(
  { url, secrets }: Platform,
  account: number,
  devices: readonly number[],
  tracks: readonly (readonly Uint8Array<ArrayBuffer>[])[],
): Promise<void> {
  const headers = {
    authorization: `Bearer ${secrets.adminToken}`,
    "content-type": "application/vnd.ephemeris.positions",
  };
  for (const [n, bodies] of tracks.entries()) {
    for (const body of bodies) {
      const to = `${url}/v1/admin/accounts/${account}/imports/${devices[n]}`;
      const response = await fetch(to, { method: "POST", headers, body });
      const answer = await response.text();
      if (!response.ok) throw new Error(`Cannot import: ${response.status} ${answer}`);
    }
  }
}

/** Runs the job that settles until it leaves what waits as it is. */
export async function settleImported(platform: Platform): Promise<void> {
  const count = new StoredCount(platform);
  const headers = { authorization: `Bearer ${platform.secrets.adminToken}` };
  for (let before = Number.POSITIVE_INFINITY; count.waiting() < before; ) {
    before = count.waiting();
    const response = await fetch(`${platform.url}/v1/admin/jobs/settle/run`, { method: "POST", headers });
    if (!response.ok) throw new Error(await response.text());
  }
  count.close();
}
