import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { canonical, readCanonical } from "../../client/canonical.ts";
import { toHex } from "../../client/hex.ts";
import { GrowingTree, inclusionPath, leafHash, rootOf, rootOfPath } from "../../client/merkle.ts";

/** Inputs of the reference implementation of Certificate Transparency, merkletree/merkle_tree_test.cc. */
const LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const ROOTS = [
  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
  "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
  "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
  "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
  "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];
const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"));

test("rootOf() gives the roots of Certificate Transparency's own vectors", async () => {
  const leaves = await Promise.all(LEAVES.map((leaf) => leafHash(bytes(leaf))));
  const tree = new GrowingTree();
  expect(toHex(await tree.root())).toBe(toHex(await rootOf([])));
  for (const [i, root] of ROOTS.entries()) {
    expect(toHex(await rootOf(leaves.slice(0, i + 1)))).toBe(root);
    await tree.add(leaves[i]!);
    expect(toHex(await tree.root())).toBe(root);
  }
  expect(toHex(await rootOf([]))).toBe(createHash("sha256").digest("hex"));
});

test("rootOfPath() finds the root from every leaf of every tree, and from no other place or size", async () => {
  const all = await Promise.all(Array.from({ length: 33 }, (_, i) => leafHash(Uint8Array.of(i))));
  for (let size = 1; size <= all.length; size++) {
    const leaves = all.slice(0, size);
    const root = toHex(await rootOf(leaves));
    for (let index = 0; index < size; index++) {
      const path = await inclusionPath(leaves, index);
      const found = async (i: number, n: number, steps = path) => {
        const at = await rootOfPath(leaves[index]!, i, n, steps);
        return at === null ? null : toHex(at);
      };
      expect(await found(index, size)).toBe(root);
      for (const other of [index - 1, index + 1, size]) expect(await found(other, size)).not.toBe(root);
      expect(await found(index, size, [...path, leaves[0]!])).toBe(null);
      if (path.length > 0) expect(await found(index, size, path.slice(1))).not.toBe(root);
    }
  }
});

test("canonical() sorts by UTF-16 code units and writes what readCanonical() reads, and nothing else", () => {
  // RFC 8785, 3.2.3
  const names = { "\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\ud83d\ude00": 5, "\u0080": 6, "\u00f6": 7 };
  expect(canonical(names)).toBe('{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\ud83d\ude00":5,"\ufb33":3}');
  expect(canonical({ b: [1, null, true, '\u000f\n"\\/'], a: {} })).toBe(
    '{"a":{},"b":[1,null,true,"\\u000f\\n\\"\\\\/"]}',
  );
  for (const bad of [1.5, Number.NaN, 2 ** 53, "\ud800", undefined as never]) {
    expect(() => canonical({ bad })).toThrow(TypeError);
  }
  for (const bad of ['{"a":1,"a":1}', '{"b":1,"a":1}', "1.0", " 1", '"\\u0041"', "1e3", "-0", "1.5"]) {
    expect(() => readCanonical(bad)).toThrow(SyntaxError);
  }
  const text = fc.string({ unit: "grapheme" });
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(text, fc.maxSafeInteger(), fc.boolean(), fc.constant(null), tie("list"), tie("object")),
    list: fc.array(tie("value"), { maxLength: 4 }),
    object: fc.dictionary(text, tie("value"), { maxKeys: 4 }),
  }));
  fc.assert(
    fc.property(value, (given) => {
      const written = canonical(given as never);
      expect(canonical(readCanonical(written))).toBe(written);
    }),
  );
});
