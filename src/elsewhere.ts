import type { Category, Class, Purpose, Retention } from "./store/personal.ts";

// What is stored or sent outside of the database's tables, as src/store/personal.ts says it of columns. Tests compare each
// table with the code: a name that is not here, or not there, fails.

interface Place {
  /** What it is, to people. */
  what: string;
  /** As of a column: class and category. */
  is: `${Class} ${Category}`;
  purpose: Purpose;
  retain: Retention;
  /** What an erasure of an account does to it. */
  erase: string;
}

/** Objects of the key store by name; `{}` stands for a number or a name. Three copies of each: src/vault-copies.ts. */
export const KEY_OBJECTS = {
  "account/{}": {
    what: "secrets of an account, its devices and their days",
    is: "secret account",
    purpose: "tracking",
    retain: "account",
    erase: "destroyed",
  },
  "held/{}": {
    what: "secrets of copies that a law or an order keeps; which orders and copies those are",
    is: "secret location",
    purpose: "holds",
    retain: "held",
    erase: "destroyed when what keeps them ends",
  },
  "copy/{}": {
    what: "copies that a law or an order keeps, in pieces, sealed",
    is: "sensitive location",
    purpose: "holds",
    retain: "held",
    erase: "deleted when what keeps them ends, after their secret",
  },
  "inbox/{}": {
    what: "secrets that positions wait under",
    is: "secret location",
    purpose: "tracking",
    retain: "positions",
    erase: "destroyed",
  },
  pepper: {
    what: "the installation's secret of keyed hashes",
    is: "secret operation",
    purpose: "operation",
    retain: "operator",
    erase: "stays: it is about nobody",
  },
  lasting: {
    what: "secrets of the installation that outlast its root key",
    is: "secret operation",
    purpose: "operation",
    retain: "operator",
    erase: "stays: it is about nobody",
  },
  shreds: {
    what: "numbers of secrets that were destroyed lately",
    is: "none operation",
    purpose: "rights",
    retain: "shreds",
    erase: "stays: numbers that nothing leads back from",
  },
  requests: {
    what: "requests that are open, and what was erased of accounts that go on: numbers, names of columns, times",
    is: "pseudonymous account",
    purpose: "rights",
    retain: "kept",
    erase: "goes with its account, or when it is over",
  },
  "ledger/{}": {
    what: "the ledger once more",
    is: "none operation",
    purpose: "rights",
    retain: "ledger",
    erase: "stays: nothing in it is about anybody",
  },
  refreshed: {
    what: "when the escrow was brought up to date",
    is: "none operation",
    purpose: "operation",
    retain: "operator",
    erase: "stays: it is about nobody",
  },
} as const satisfies Record<string, Place>;

/** Bindings of object storage in wrangler.toml; `npm start` has a folder for each. */
export const BUCKETS = {
  KEYS_A: "the key store",
  KEYS_B: "its second copy",
  KEYS_ESCROW: "its third copy, a day behind at most, but for what was destroyed",
} as const;

/** Files beside the database. */
export const FILES = {
  spool: {
    what: "frames in the bridge's spool, as trackers sent them",
    is: "sensitive location",
    purpose: "tracking",
    retain: "spool",
    erase: "gone with the edge's answer",
  },
  outbox: {
    what: "mails in the outbox of `npm start`",
    is: "personal other",
    purpose: "mail",
    retain: "outbox",
    erase: "stays: it is for trying out",
  },
  logs: {
    what: "lines of the log: numbers, codes and fixed words",
    is: "pseudonymous log",
    purpose: "operation",
    retain: "logs",
    erase: "stays",
  },
} as const satisfies Record<string, Place>;

/** Every field that a line of the log may have: those that stand for somebody or their things, and the others. */
// biome-ignore format: lists
export const LOG_FIELDS = {
  pseudonymous: [
    "requestId", "request", "account", "device", "deviceId", "commandId", "mail", "segment", "position", "batch", "kid",
    "placement", "connection",
  ],
  none: [
    "time", "level", "event", "message", "error", "code", "at", "detail", "route", "status", "ms", "job", "run", "changed",
    "kind", "attempts", "failures", "failure", "state", "database", "found", "copy", "part", "chunk", "table", "column",
    "rows", "positions", "frames", "erased", "document", "held", "unsyncedBytes", "bytes", "backlog", "sequence", "connections",
    "size", "entries", "accounts", "devices", "segments", "newest", "fields", "type", "percent",
  ],
} as const;

/** What is put into a browser. There is nothing in its storage. */
export const COOKIES = {
  "__Host-session": { what: "who is signed in", is: "secret account", purpose: "access", retain: "sessions" },
  "__Host-signin": {
    what: "a sign-in that waits for its second step",
    is: "secret account",
    purpose: "access",
    retain: "links",
  },
  "__Host-language": {
    what: "the language that was chosen",
    is: "personal profile",
    purpose: "personalisation",
    retain: "browser",
  },
} as const satisfies Record<string, Omit<Place, "erase">>;

/** Files of the source that send to other hosts, and whom they reach. A bridge knows its edge alone. */
export const OUTBOUND = {
  "src/runtime/mail.ts": "mailProvider",
  "src/runtime/smtp.ts": "mailProvider",
  "bridge/edge.ts": "operator",
} as const;

/** What each route is for, by how its path begins: the first row that fits. There is no other product than this platform. */
export const ROUTES_FOR: readonly [path: RegExp, purpose: Purpose][] = [
  [/^\/(healthz|openapi\.json|docs|assets|brand\.css)\b/, "operation"],
  [/^\/v1\/bridge\//, "tracking"],
  [/^(\/v1)?\/admin\/(accounts\/\{id\}\/(positions|devices))\b/, "support"],
  [/^(\/v1)?\/admin\/accounts\/\{id\}\/(placement)\b/, "residence"],
  [/^(\/v1)?\/admin\/(accounts\/\{id\}\/retention|retention)\b/, "tracking"],
  [/^(\/v1)?\/admin\/(activations|unclaimed|devices)\b/, "activation"],
  [/^(\/v1)?\/admin\/(brands|documents)\b/, "publishing"],
  [/^(\/v1)?\/admin\/(accounts|keys)\b/, "account"],
  [/^(\/v1)?\/admin\/audit\b/, "accountability"],
  [/^(\/v1)?\/admin\/(holds|held)\b/, "holds"],
  [/^(\/v1)?\/(admin\/)?subject(-requests)?\b/, "rights"],
  [/^(\/v1)?\/admin\/(requests|ledger|receipts|calendar|erasures)\b/, "rights"],
  [/^(\/v1)?\/admin\/(bridges|staff|setup-links|settings|overview|jobs|key-store)\b/, "operation"],
  [/^\/admin$/, "operation"],
  [/^\/v1\/devices\/\{id\}\/commands\b|^\/v1\/commands\//, "control"],
  [/^(\/v1)?\/(groups|devices|models|positions|sync)\b/, "tracking"],
  [/^\/v1\/me\/(retention|collection)\b|^\/profile\/(retention|collection)\b/, "tracking"],
  [
    /^\/v1\/(me\/)?(searches|personalisation)\b|^\/v1\/me\/personalisation$|^\/(search|profile\/searches)$/,
    "personalisation",
  ],
  [
    /^\/v1\/(me\/)?(exports|requests|receipts|privacy)\b|^\/(requests|receipts|privacy)\b|^\/profile\/(export|requests|delete)\b/,
    "rights",
  ],
  [/^\/v1\/me\/held$|^\/profile\/held$|^\/\.well-known\//, "rights"],
  [/^\/v1\/(statements?|notices|me\/statement)\b|^\/(legal|accept)\b/, "consent"],
  [/^\/brand\//, "publishing"],
  [/^\/v1\/(looks|support-windows|me\/instructions)\b|^\/support$/, "support"],
  [
    /^\/v1\/(me\/(totp|passkeys|proof|password|secure|sealing-keys)|sessions|security-reports|password-resets|keys)\b/,
    "access",
  ],
  [/^\/(login|logout|forgot|reset|security|prove|secure|keys|profile\/sealing|setup)\b/, "access"],
  [/^\/v1\/(signups|invitations|users|me|services)\b|^\/(signup|confirm|invite|people|profile)\b|^\/$/, "account"],
];
