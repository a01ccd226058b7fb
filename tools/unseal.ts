import { once } from "node:events";
import { closeSync, createReadStream, openSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { SealError } from "../client/errors.ts";
import { keyFileText, newKeyFile, type OpeningKey, readKeyFile } from "../client/key-file.ts";
import { isSealedFile, openFile } from "../client/sealed-file.ts";
import { openTrack, readAnswer } from "../client/track.ts";

const USAGE = `npm run -s unseal -- --new-key my.key
npm run -s unseal -- --key my.key [track.json ...] > positions.ndjson
npm run -s unseal -- --key my.key export.zip.sealed > export.zip

Opens what the API gives of an account that seals its positions to a key of its own, on this machine: the key goes
nowhere. Reads pages of JSON (one question, whatever the order of its pages), or standard input, and prints one position
a line, as the API itself would give it; of an export, the file itself, and then sealed.jsonl in it, where there is one.
The exit code is 1 when something did not open with this key.

  --new-key FILE   makes a key: its file, readable by you alone, must not be lost; prints what is to be registered
  --key FILE       the file of a key
  --help           prints this
`;

/** A reason to stop, for people. */
class Refusal extends Error {}

async function makeKey(path: string): Promise<void> {
  const file = await newKeyFile(Date.now());
  try {
    // Never over another key: what is sealed to that one would be lost.
    writeFileSync(path, keyFileText(file), { mode: 0o600, flag: "wx" });
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === "EEXIST";
    throw new Refusal(isThere ? `${path} is there already: choose another name` : `Cannot write ${path}`);
  }
  process.stdout.write(`publicKey ${file.publicKey}\ncheck     ${file.check}\n`);
  process.stderr.write(`${path} is the only place of the private key. Keep a copy apart: a lost key is final.\n`);
}

function textOf(path: string): string {
  try {
    return readFileSync(path === "-" ? 0 : path, "utf8");
  } catch {
    throw new Refusal(`Cannot read ${path === "-" ? "standard input" : path}`);
  }
}

function beginsAsSealedFile(path: string): boolean {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    throw new Refusal(`Cannot read ${path}`);
  }
  const begin = new Uint8Array(8);
  readSync(file, begin);
  closeSync(file);
  return isSealedFile(begin);
}

async function unsealFile(path: string, key: OpeningKey): Promise<void> {
  for await (const chunk of openFile(createReadStream(path), key)) {
    if (!process.stdout.write(chunk)) await once(process.stdout, "drain");
  }
}

/** Of JSON Lines each is an answer. */
const answersIn = (path: string) =>
  path.endsWith(".jsonl") ? textOf(path).split("\n").filter(Boolean).map(readAnswer) : [readAnswer(textOf(path))];

async function unseal(keyPath: string, paths: readonly string[]): Promise<void> {
  const key = await readKeyFile(textOf(keyPath));
  const [only] = paths;
  if (paths.length === 1 && only !== undefined && only !== "-" && beginsAsSealedFile(only)) {
    await unsealFile(only, key);
    return;
  }
  const answers = (paths.length === 0 ? ["-"] : paths).flatMap(answersIn);
  const { positions, unopened } = await openTrack(answers, key);
  for (const position of positions) {
    if (!process.stdout.write(`${JSON.stringify(position)}\n`)) await once(process.stdout, "drain");
  }
  for (const { what, why } of unopened) process.stderr.write(`${what}: ${why}\n`);
  const rest = answers.some(({ nextCursor }) => nextCursor !== null);
  process.stderr.write(`${positions.length} positions${rest ? "; there are more pages (nextCursor)" : ""}\n`);
  if (unopened.length > 0) process.exitCode = 1;
}

async function run(): Promise<void> {
  let parsed: { values: { "new-key"?: string; key?: string; help?: boolean }; positionals: string[] };
  try {
    parsed = parseArgs({
      allowPositionals: true,
      options: { "new-key": { type: "string" }, key: { type: "string" }, help: { type: "boolean" } },
    });
  } catch (error) {
    throw new Refusal(`${(error as Error).message.split(". ")[0]}; --help lists the options`);
  }
  const { values, positionals } = parsed;
  if (values.help) process.stdout.write(USAGE);
  else if (values["new-key"] !== undefined) await makeKey(values["new-key"]);
  else if (values.key !== undefined) await unseal(values.key, positionals);
  else throw new Refusal("Give --key FILE, or --new-key FILE to make one; --help says more");
}

// Whoever reads may have seen enough (`| head`).
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
try {
  await run();
} catch (error) {
  if (!(error instanceof Refusal) && !(error instanceof SealError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
