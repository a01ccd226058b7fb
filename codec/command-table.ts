/** One argument of a command, as a caller gives it (API units) and as the wire carries it (decimal text). */
export type CommandParameter =
  /** `step`: the wire counts in steps of this many units, other values are refused. */
  | {
      readonly name: string;
      readonly type: "integer";
      readonly min: number;
      readonly max: number;
      readonly unit: string;
      readonly step?: number;
      readonly optional?: true;
      readonly note?: string;
    }
  | {
      readonly name: string;
      readonly type: "choice";
      readonly values: readonly { readonly value: number; readonly meaning: string }[];
      readonly optional?: true;
      readonly note?: string;
    }
  /** `alphabet`: the only characters allowed, when given. CR, LF and comma are never allowed: there is no escape. */
  | {
      readonly name: string;
      readonly type: "text";
      readonly minLength: number;
      readonly maxLength: number;
      readonly alphabet?: string;
      readonly optional?: true;
      readonly note?: string;
    };

/** What a command can do to its owner beyond what it says, and how to put it to a person before it is sent. */
export const DANGERS = {
  engine: "Can cut the engine or the fuel pump: give a speed below which it may act",
  data: "Deletes positions that have not been delivered",
} as const;

export type Danger = keyof typeof DANGERS;

/** A downlink command: what it takes and which uplink answers it. */
export interface Command {
  readonly code: string;
  readonly name: string;
  readonly danger: Danger | null;
  readonly parameters: readonly CommandParameter[];
  /** Types of the uplink that answers; the first is the usual one. */
  readonly replyTypes: readonly string[];
  /** Event code of the position that answers (A10 only: its reply is a report and does not name the command). */
  readonly replyEvent?: number;
  /** Names of the values that a good reply lists; without it, a good reply says OK. */
  readonly replyNames?: readonly string[];
  readonly source: string;
}

/** Downlink commands, Meitrack GPRS protocol V1.8 and V1.24 (command list); a command is a row. */
export const COMMANDS = [
  {
    code: "A10",
    name: "locate now",
    danger: null,
    parameters: [],
    replyTypes: ["AAA", "AFF"],
    replyEvent: 34,
    source: "V1.8 A10",
  },
  {
    code: "A11",
    name: "heartbeat interval",
    danger: null,
    parameters: [{ name: "intervalMin", type: "integer", min: 0, max: 65535, unit: "min", note: "0 is off" }],
    replyTypes: ["A11"],
    source: "V1.8 A11",
  },
  {
    code: "A12",
    name: "track interval",
    danger: null,
    parameters: [
      { name: "intervalS", type: "integer", min: 0, max: 655350, unit: "s", step: 10, note: "0 is off" },
      {
        name: "times",
        type: "integer",
        min: 0,
        max: 65535,
        unit: "reports",
        optional: true,
        note: "0 is endless; older models only (V1.24)",
      },
    ],
    replyTypes: ["A12"],
    source: "V1.8 A12, V1.24 A12",
  },
  {
    code: "A13",
    name: "cornering angle",
    danger: null,
    parameters: [{ name: "angleDeg", type: "integer", min: 0, max: 359, unit: "deg", note: "0 is off, 30 is advised" }],
    replyTypes: ["A13"],
    source: "V1.8 A13",
  },
  {
    code: "A14",
    name: "track distance",
    danger: null,
    parameters: [
      { name: "distanceM", type: "integer", min: 0, max: 65535, unit: "m", note: "0 is off, 300 is advised" },
    ],
    replyTypes: ["A14"],
    source: "V1.8 A14",
  },
  {
    code: "C01",
    name: "outputs",
    danger: "engine",
    parameters: [
      {
        name: "speedKmh",
        type: "integer",
        min: 0,
        max: 255,
        unit: "km/h",
        note: "acts only below this speed; 0 acts now",
      },
      {
        name: "outputs",
        type: "text",
        minLength: 5,
        maxLength: 5,
        alphabet: "012",
        note: "one digit per output 1 to 5: 0 open, 1 to ground, 2 keep",
      },
    ],
    replyTypes: ["C01"],
    source: "V1.8 C01",
  },
  {
    code: "C03",
    name: "transmission mode",
    danger: null,
    parameters: [
      {
        name: "mode",
        type: "choice",
        values: [
          { value: 0, meaning: "automatic report" },
          { value: 1, meaning: "every event waits for a confirmation" },
        ],
      },
    ],
    replyTypes: ["C03"],
    source: "V1.8 C03",
  },
  {
    code: "E91",
    name: "firmware version",
    danger: null,
    parameters: [],
    replyTypes: ["E91"],
    replyNames: ["firmware", "serialNumber"],
    source: "V1.8 E91",
  },
  {
    code: "F09",
    name: "delete cached reports",
    danger: "data",
    parameters: [
      {
        name: "buffer",
        type: "choice",
        values: [
          { value: 1, meaning: "SMS" },
          { value: 2, meaning: "GPRS" },
          { value: 3, meaning: "both" },
        ],
      },
    ],
    replyTypes: ["F09"],
    source: "V1.8 F09",
  },
] as const satisfies readonly Command[];

export type CommandCode = (typeof COMMANDS)[number]["code"];

const BY_CODE = new Map<string, Command>(COMMANDS.map((command) => [command.code, command]));

/** The row of a command, or undefined when the table has none. */
export function commandOf(code: string): Command | undefined {
  return BY_CODE.get(code);
}
