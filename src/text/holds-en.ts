import type { MailTexts } from "./mails.ts";

const many = (count: number, one: string, more: string) => (count === 1 ? `1 ${one}` : `${count} ${more}`);

export const holds = {
  // The customer.
  title: "What is kept, and why",
  lead: "What you erase is gone, but for what a law, an order or something owed keeps: that is copied, sealed, and goes by itself when its time is over.",
  link: "What is kept, and why",
  kept: "Kept of what was erased",
  keptHead: ["Why", "Because of", "Kept since", "Until", "Size"],
  nothingKept: "Nothing. What was erased is gone.",
  sealedNote:
    "It is sealed and unreadable to everybody but our legal staff with a written reason. Who read it is listed under “Who looked”.",
  atTheLatest: "at the latest",

  lawsTitle: "Laws that you are under",
  lawsLead: "Some make you keep positions longer than you would. Choose one only if it applies to you.",
  laws: {
    "cn-shenzhen-passenger": "Shenzhen: monitoring of passenger vehicles",
    "cn-road-transport": "PRC: dynamic supervision of road transport vehicles",
  } as Record<string, string>,
  means: (days: number) =>
    `What you erase, or what is past your own period, is kept, sealed and unreadable to everybody but our legal staff with a written reason, until ${days} days after the position.`,
  lawHead: ["Law", "Where", "At least", "What it means", "Chosen", ""],
  days: (days: number) => many(days, "day", "days"),
  notChosen: "not chosen",
  choose: "I am under this law",
  drop: "I am not any more",
  dropHint: "What is kept already stays until its time.",

  owedTitle: "What is owed",
  owedLead: "What we wrote down because one of us owes the other something, and what is kept for it.",
  owedHead: ["What for", "Because of", "What is kept", "Until", ""],
  nothingOwed: "Nothing is owed, and nothing is kept for it.",
  kinds: {
    order: "An order",
    warranty: "A warranty",
    dispute: "A dispute",
    unpaid: "Something unpaid",
    extension: "An extension",
  } as Record<string, string>,
  agree: "I agree",
  agreeHint: "It keeps nothing before you agree.",
  agreed: "agreed",
  over: "over",

  // The operator.
  adminLead:
    "Orders and claims for which something must not go. One of the legal staff places a hold, another confirms it, and it ends by itself.",
  openOnly: "Open only",
  all: "All",
  none: "There is no hold.",
  head: ["File number", "Account", "Because of", "What", "State", "Review", "Ends"],
  state: { placed: "waits for a second person", in_force: "in force", released: "released", expired: "over" } as Record<
    string,
    string
  >,
  what: { account: "the whole account", devices: "trackers", range: "a tracker, for a time" } as Record<string, string>,
  reviewDue: "review is due",
  inDays: (days: number) => (days < 1 ? "today" : `in ${many(days, "day", "days")}`),
  dueNotice: (count: number) =>
    `${many(count, "hold was", "holds were")} not reviewed in time. They go on until somebody releases them, or they end.`,
  toHolds: "Review them",
  notLegal:
    "You can see holds. To place, confirm or release one, or to read what is kept, an administrator must first let you.",
  place: "Place a hold",
  placeLead:
    "It keeps nothing before somebody else has confirmed it. Where an erasure has begun to destroy it is too late.",
  account: "Number of the account",
  basis: "Because of",
  reference: "File number",
  referenceHint: "Your own. Capital letters, digits and / . _ - only, so that no name gets into it.",
  kind: "What must not go",
  devices: "Numbers of trackers",
  devicesHint: "Separated by commas. For a time of one tracker: its number alone.",
  from: "From (UTC)",
  to: "Until (UTC)",
  timesHint: "For a time of one tracker only.",
  reviewAt: "Review on",
  reviewHint: "At most 180 days ahead.",
  expiresAt: "Ends on",
  expiresHint: "At most three years ahead. It ends by itself.",
  holdTitle: (reference: string) => `Hold ${reference}`,
  placedBy: "Placed by",
  confirmedBy: "Confirmed by",
  releasedBy: "Released by",
  by: (id: number) => `staff ${id}`,
  confirm: "Confirm it",
  confirmHint: "Somebody else than who placed it must. From then on it counts.",
  yours: "You placed it: somebody else must confirm it.",
  review: "It is still needed",
  release: "Release it",
  releaseHint: "What is kept for it alone is destroyed within minutes.",
  reason: "Why",
  reasonHint: "It is recorded. Ten characters at least, without names.",
  parts: "What is kept",
  partsHead: ["Number", "Why", "Because of", "What would have destroyed it", "Until", "Size"],
  noParts: "Nothing is kept.",
  accountHolds: "Holds, and what is kept of what was erased",
  cause: (kind: string, rest: string) =>
    ({ request: `request ${rest}`, device: `removal of tracker ${rest}`, day: "the end of its period" })[kind] ?? kind,
  read: "Read",
  readTitle: (id: number) => `Read what is kept under number ${id}`,
  readLead: "The record and the ledger have it before you read it. Where the account lives its owner sees it.",
  archive: "Fetch the archive",

  legalTitle: "What is kept for a legal reason",
  legalLead: "May place and release holds and read what is kept. Administrators and privacy staff, a year at most.",
  legalUntil: "Until",
  legalNo: "no",
  grant: "Let them",
  withdraw: "No longer",

  owed: "What is owed",
  owe: "Write down what is owed",
  oweLead: "The customer reads all of it. An extension keeps nothing before an owner has agreed to it.",
  details: "What is kept, and nothing else",
  endIt: "End it",
};

export const holdMails: Pick<MailTexts, "holdReview"> = {
  holdReview: ({ count }) => ({
    subject: count === "1" ? "A hold is to be reviewed" : `${count} holds are to be reviewed`,
    lines: [
      "Somebody has to look whether what they keep must still be kept. Until then they go on, to their end.",
      "Extend the review with a reason, or release them.",
    ],
    action: "Look at them",
  }),
};

export const holdActs: Record<string, string> = {
  "legal.granted": "You may handle what is kept for a legal reason",
  "legal.withdrawn": "You may no longer handle what is kept for a legal reason",
};

/** What the rules say. */
export const holdProblems: Record<string, string> = {
  "This was agreed to already, or is over": "You have agreed to this already, or it is over.",
};
