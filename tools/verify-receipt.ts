import { existsSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { CHECKS, type Check, type PublishedHeads, readHeads, verifyReceipt } from "../client/receipt.ts";

const USAGE = `npm run -s verify-receipt receipt.json
npm run -s verify-receipt receipt.json -- --key ledger-heads.json
npm run -s verify-receipt receipt.json -- --key 9f3c… --heads ledger-heads.json

Checks a receipt on this machine, without a network: that it is whole, that its key signed it and the head of the ledger
in it, and that each entry it names is under that head. The exit code is 0 when all of that is so, 1 when it is not, and 2
when there was nothing to check.

  --key KEY    the platform's public key in hex, or a file that /.well-known/ledger-heads.json gave: whose receipt it is
  --heads FILE beside a key that you wrote down: what /.well-known/ledger-heads.json says now, to follow from that key to
               the one that it was changed for
  --json       prints what was checked as JSON
  --help       prints this
`;

const SAID: Record<Check, string> = {
  form: "the receipt is whole, and written as it was signed",
  key: "its key is the one that you gave",
  signature: "its key signed all of it",
  head: "its key signed the head of the ledger",
  entries: "each entry that it names is under that head",
  published: "that head is the published one",
};

/** A reason to stop, for people. */
class Refusal extends Error {}

function textOf(path: string): string {
  try {
    return readFileSync(path === "-" ? 0 : path, "utf8");
  } catch {
    throw new Refusal(`Cannot read ${path === "-" ? "standard input" : path}`);
  }
}

function trustedOf(key: string | undefined): readonly string[] | PublishedHeads | undefined {
  if (key === undefined) return undefined;
  if (/^[0-9a-f]{64}$/i.test(key) && !existsSync(key)) return [key.toLowerCase()];
  return headsIn(key, "--key");
}

function headsIn(path: string, option: "--key" | "--heads"): PublishedHeads {
  try {
    return readHeads(textOf(path));
  } catch (error) {
    const what = option === "--key" ? "64 hex digits or a file, and" : "a file, and";
    if (error instanceof Refusal)
      throw new Refusal(`${option} must be ${what} ${path} is ${option === "--key" ? "neither" : "none"}`);
    throw new Refusal(`${path} is no file that /.well-known/ledger-heads.json gave`);
  }
}

async function run(): Promise<void> {
  let parsed: { values: { key?: string; heads?: string; json?: boolean; help?: boolean }; positionals: string[] };
  try {
    parsed = parseArgs({
      allowPositionals: true,
      options: {
        key: { type: "string" },
        heads: { type: "string" },
        json: { type: "boolean" },
        help: { type: "boolean" },
      },
    });
  } catch (error) {
    throw new Refusal(`${(error as Error).message.split(". ")[0]}; --help lists the options`);
  }
  const { values, positionals } = parsed;
  if (values.help) return void process.stdout.write(USAGE);
  const [path, ...more] = positionals;
  if (path === undefined || more.length > 0) throw new Refusal("Give the file of one receipt; --help says more");
  const beside = values.heads === undefined ? undefined : headsIn(values.heads, "--heads");
  const trusted = trustedOf(values.key) ?? beside;
  const text = textOf(path);
  const { receipt: _, ...found } = await verifyReceipt(text, trusted, beside);
  process.exitCode = found.ok ? 0 : 1;
  if (values.json) return void process.stdout.write(`${JSON.stringify(found)}\n`);
  const lines = CHECKS.flatMap((check) => {
    const ok = found.checks[check];
    return ok === null ? [] : [`${ok ? "yes" : "NO "}  ${SAID[check]}`];
  });
  if (found.publicKey !== null) lines.push(`Signed by key ${found.keyId}, public key ${found.publicKey}`);
  if (found.ok && trusted === undefined) {
    lines.push("Anybody can make such a key: compare it with the one at /.well-known/ledger-heads.json, or give --key");
  }
  lines.push(found.ok ? "The receipt is good." : "The receipt is NOT good.");
  process.stdout.write(`${lines.join("\n")}\n`);
}

try {
  await run();
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
