import { once } from "node:events";
import { parseArgs } from "node:util";
import { MODEL_NAMES } from "../codec/models.ts";
import { decodeLine, LINE_CHARACTERS, type LineOptions } from "./decode-line.ts";

const USAGE = `npm run -s decode -- [options] < frames

Reads frames from standard input, one a line, as hex or as text, and prints one JSON line for each.
A line that is no frame gets {"ok":false,"error":{...}}; the exit code is 0 all the same.

  --model NAME   tracker model, which decides how text reports count volts
  --lenient      accepts a wrong checksum, and says so with "checksumOk":false
  --explain      lists every field with its offset, bytes, name and value
  --help         prints this
`;

/**
 * Lines of a stream of bytes, one byte a character, without their line feed, as many as each chunk completes. A line
 * that is too long is cut, but stays recognisably too long; its rest is skipped, so that no input fills the memory.
 */
async function* lines(input: AsyncIterable<Uint8Array>): AsyncGenerator<string[]> {
  let begun = "";
  for await (const chunk of input) {
    const parts = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString("latin1").split("\n");
    parts[0] = begun + parts[0];
    begun = (parts.pop() ?? "").slice(0, LINE_CHARACTERS + 1);
    yield parts;
  }
  yield [begun];
}

async function run(options: LineOptions): Promise<void> {
  for await (const some of lines(process.stdin)) {
    let printed = "";
    for (const line of some) {
      const answer = decodeLine(line, options);
      if (answer !== null) printed += `${JSON.stringify(answer)}\n`;
    }
    if (!process.stdout.write(printed)) await once(process.stdout, "drain");
  }
}

function refuse(why: string): never {
  process.stderr.write(`${why}\n`);
  process.exit(2);
}

function readOptions(): LineOptions {
  try {
    const { values } = parseArgs({
      options: {
        model: { type: "string" },
        lenient: { type: "boolean", default: false },
        explain: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      process.stdout.write(USAGE);
      process.exit(0);
    }
    const { model, lenient, explain } = values;
    if (model === undefined) return { lenient, explain };
    const known = MODEL_NAMES.find((name) => name.toUpperCase() === model.toUpperCase());
    if (known === undefined) refuse(`--model must be one of ${MODEL_NAMES.join(", ")}`);
    return { model: known, lenient, explain };
  } catch (error) {
    refuse(`${(error as Error).message.split(". ")[0]}; --help lists the options`);
  }
}

// Whoever reads may have seen enough (`| head`).
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
await run(readOptions());
