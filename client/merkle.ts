// The Merkle tree of RFC 9162 (section 2.1, as in RFC 6962), with SHA-256. Leaves are hashed behind a 0, nodes behind a 1,
// so that neither passes for the other.

export type Hash = Uint8Array<ArrayBuffer>;

const LEAF = 0;
const NODE = 1;

export async function sha256(...parts: readonly Uint8Array[]): Promise<Hash> {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

export const leafHash = (leaf: Uint8Array): Promise<Hash> => sha256(Uint8Array.of(LEAF), leaf);
const nodeHash = (left: Hash, right: Hash): Promise<Hash> => sha256(Uint8Array.of(NODE), left, right);

/** The largest power of two below `n`. */
function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

/** The root over hashes of leaves. */
export async function rootOf(leaves: readonly Hash[]): Promise<Hash> {
  if (leaves.length === 0) return sha256();
  let level = [...leaves];
  // Level by level is the same as by halves: what is left over goes up as it is.
  while (level.length > 1) {
    const pairs: (Hash | Promise<Hash>)[] = [];
    for (let i = 0; i < level.length; i += 2) {
      const [left, right] = [level[i] as Hash, level[i + 1]];
      pairs.push(right === undefined ? left : nodeHash(left, right));
    }
    level = await Promise.all(pairs);
  }
  return level[0] as Hash;
}

/** The tree as it grows: the roots of the full trees that it is made of, with their sizes, the largest first. */
export class GrowingTree {
  size = 0;
  readonly #peaks: { size: number; root: Hash }[] = [];

  async add(leaf: Hash): Promise<void> {
    this.size += 1;
    let peak = { size: 1, root: leaf };
    for (let last = this.#peaks.at(-1); last?.size === peak.size; last = this.#peaks.at(-1)) {
      this.#peaks.pop();
      peak = { size: 2 * peak.size, root: await nodeHash(last.root, peak.root) };
    }
    this.#peaks.push(peak);
  }

  async root(): Promise<Hash> {
    const [first, ...others] = this.#peaks.map(({ root }) => root).reverse();
    if (first === undefined) return sha256();
    let root = first;
    for (const peak of others) root = await nodeHash(peak, root);
    return root;
  }
}

/** What leads from a leaf to the root, from below. */
export async function inclusionPath(leaves: readonly Hash[], index: number): Promise<Hash[]> {
  if (leaves.length <= 1) return [];
  const k = split(leaves.length);
  if (index < k) {
    return [...(await inclusionPath(leaves.slice(0, k), index)), await rootOf(leaves.slice(k))];
  }
  return [...(await inclusionPath(leaves.slice(k), index - k)), await rootOf(leaves.slice(0, k))];
}

/** The root that a path leads to; null when it has another length than a tree of this size. */
export async function rootOfPath(leaf: Hash, index: number, size: number, path: readonly Hash[]): Promise<Hash | null> {
  if (!(Number.isSafeInteger(index) && Number.isSafeInteger(size) && index >= 0 && index < size)) return null;
  if (size === 1) return path.length === 0 ? leaf : null;
  const [rest, last] = [path.slice(0, -1), path.at(-1)];
  if (last === undefined) return null;
  const k = split(size);
  const below = index < k ? await rootOfPath(leaf, index, k, rest) : await rootOfPath(leaf, index - k, size - k, rest);
  if (below === null) return null;
  return index < k ? nodeHash(below, last) : nodeHash(last, below);
}
