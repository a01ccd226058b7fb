import { latin1 } from "./bytes.ts";
import { type Command, type CommandParameter, commandOf } from "./command-table.ts";
import { CodecError } from "./errors.ts";
import { encodeFrame } from "./frame.ts";

export {
  COMMANDS,
  type Command,
  type CommandCode,
  type CommandParameter,
  commandOf,
  DANGERS,
  type Danger,
} from "./command-table.ts";

/** Data identifiers run through A to z and wrap: 58 values (Meitrack GPRS protocol, packet format). */
export const IDENTIFIERS = { first: 0x41, count: 58 } as const;

/**
 * The data identifier of the n-th message of a sender.
 * @param sequence any whole number from 0; wraps after 58
 */
export function identifierAt(sequence: number): string {
  return String.fromCharCode(IDENTIFIERS.first + (sequence % IDENTIFIERS.count));
}

function refuse(command: Command, why: string): CodecError {
  return new CodecError("value", 0, `Cannot encode ${command.code}: ${why}`);
}

/** Says in words what an argument may be: the same sentence in errors and in documentation. */
export function rangeOf(parameter: CommandParameter): string {
  switch (parameter.type) {
    case "integer": {
      const range = `a whole number from ${parameter.min} to ${parameter.max} (${parameter.unit})`;
      return parameter.step === undefined ? range : `${range} in steps of ${parameter.step}`;
    }
    case "choice":
      return `one of ${parameter.values.map(({ value, meaning }) => `${value} (${meaning})`).join(", ")}`;
    case "text": {
      const length =
        parameter.minLength === parameter.maxLength
          ? `${parameter.maxLength}`
          : `${parameter.minLength} to ${parameter.maxLength}`;
      return parameter.alphabet === undefined
        ? `a text of ${length} characters without comma or line break`
        : `a text of ${length} characters out of "${parameter.alphabet}"`;
    }
  }
}

function isText(value: string, parameter: CommandParameter & { type: "text" }): boolean {
  if (value.length < parameter.minLength || value.length > parameter.maxLength) return false;
  for (const character of value) {
    const code = character.charCodeAt(0);
    if (code < 0x20 || code > 0x7e || character === ",") return false;
    if (parameter.alphabet !== undefined && !parameter.alphabet.includes(character)) return false;
  }
  return true;
}

/** The wire text of one argument, or null when the value is not allowed. */
function argumentText(parameter: CommandParameter, value: unknown): string | null {
  switch (parameter.type) {
    case "integer": {
      if (typeof value !== "number" || !Number.isInteger(value)) return null;
      const step = parameter.step ?? 1;
      if (value < parameter.min || value > parameter.max || value % step !== 0) return null;
      return String(value / step);
    }
    case "choice":
      return parameter.values.some((choice) => choice.value === value) ? String(value) : null;
    case "text":
      return typeof value === "string" && isText(value, parameter) ? value : null;
  }
}

/**
 * Encodes a downlink command of the table.
 * @param command.imei the tracker, digits
 * @param command.identifier one character A to z; the reply carries it back
 * @param command.arguments by parameter name, in the units of the table; optional ones may be missing
 * @returns the whole frame, CR LF included
 * @throws {CodecError} `value` when the code, an argument's name or its value is not in the table
 * Source: Meitrack GPRS protocol V1.8, command format.
 */
export function encodeCommand(command: {
  imei: string;
  identifier: string;
  code: string;
  arguments?: Readonly<Record<string, unknown>>;
}): Uint8Array {
  const row = commandOf(command.code);
  if (row === undefined) throw new CodecError("value", 0, `Cannot encode ${command.code}: no such command`);
  const given = command.arguments ?? {};
  for (const name of Object.keys(given)) {
    if (!row.parameters.some((parameter) => parameter.name === name)) throw refuse(row, `it takes no "${name}"`);
  }
  const texts: string[] = [];
  let used = 0;
  for (const parameter of row.parameters) {
    const value = given[parameter.name];
    if (value === undefined) {
      if (parameter.optional !== true)
        throw refuse(row, `"${parameter.name}" is missing, expected ${rangeOf(parameter)}`);
      texts.push("");
      continue;
    }
    const text = argumentText(parameter, value);
    if (text === null) throw refuse(row, `"${parameter.name}" must be ${rangeOf(parameter)}`);
    texts.push(text);
    used = texts.length;
  }
  const { imei, identifier } = command;
  const content = texts.slice(0, used).join(",");
  const frame = { direction: "down", identifier, imei, type: row.code } as const;
  return used === 0 ? encodeFrame(frame) : encodeFrame({ ...frame, content });
}

/** What of an uplink frame decides whether it answers a command; a `Frame` has it all. */
export interface Uplink {
  readonly imei: string;
  readonly identifier: string;
  readonly type: string;
  readonly content: Uint8Array;
}

/** D82 wraps a result: `D82,A11,OK` is `A11,OK` (lock and asset trackers). `D82,0` names no command. */
function unwrap(uplink: Uplink): { type: string; content: string } {
  const content = latin1(uplink.content);
  if (uplink.type !== "D82") return { type: uplink.type, content };
  const wrapped = /^([0-9A-Z]{3})(?:,(.*))?$/s.exec(content);
  return wrapped === null ? { type: "", content } : { type: wrapped[1], content: wrapped[2] ?? "" };
}

/** The event code of a text report: the first field of AAA, the second of AFF (after the count of buffered events). */
function eventOf(uplink: Uplink): number {
  if (uplink.type !== "AAA" && uplink.type !== "AFF") return -1;
  const head = latin1(uplink.content, 0, Math.min(uplink.content.length, 16));
  return Number(head.split(",")[uplink.type === "AAA" ? 0 : 1]);
}

/**
 * Says whether an uplink answers a command that was sent.
 * @returns `identifier` when everything fits, `order` when only the identifier differs (some trackers answer with their
 * own: the oldest command of that code is meant), null when it answers something else
 * Source: Meitrack GPRS protocol V1.8: a reply carries the identifier of its command.
 */
export function matchReply(
  command: { readonly imei: string; readonly identifier: string; readonly code: string },
  uplink: Uplink,
): "identifier" | "order" | null {
  const row = commandOf(command.code);
  if (row === undefined || command.imei !== uplink.imei) return null;
  if (row.replyEvent === undefined) {
    if (!row.replyTypes.includes(unwrap(uplink).type)) return null;
  } else if (eventOf(uplink) !== row.replyEvent) return null;
  return command.identifier === uplink.identifier ? "identifier" : "order";
}

/** What a tracker said to a command. */
export interface Reply {
  /** Code of the command that it answers, empty when a wrapped result names none. */
  readonly command: string;
  /** `ok`, `error` (the values are its words), or `values` (a list of results). */
  readonly outcome: "ok" | "error" | "values";
  readonly values: readonly string[];
  /** The values by name, for commands whose row names them. */
  readonly named?: Readonly<Record<string, string>>;
}

/**
 * Reads the content of a command's reply: OK (also lower-case), an error or an error code, or a list of values.
 * @param uplink a frame whose type is a command code, or D82 around one
 * Source: Meitrack GPRS protocol V1.8, replies; T622 manual (an error code may stand for OK).
 */
export function parseReply(uplink: Uplink): Reply {
  const { type, content } = unwrap(uplink);
  const values = content === "" ? [] : content.split(",");
  const row = commandOf(type);
  if (/^ok$/i.test(content)) return { command: type, outcome: "ok", values: [] };
  if (/^(err(or)?|not)\b/i.test(content)) return { command: type, outcome: "error", values };
  if (row === undefined) return { command: type, outcome: "values", values };
  if (row.replyNames === undefined) return { command: type, outcome: "error", values };
  const named = Object.fromEntries(row.replyNames.slice(0, values.length).map((name, at) => [name, values[at]]));
  return { command: type, outcome: "values", values, named };
}
