import type { MailTexts } from "./mails.ts";

const many = (count: number, one: string, more: string) => (count === 1 ? `1 ${one}` : `${count} ${more}`);

/** A scope of src/erasure-scope.ts. */
type Scope =
  | { kind: "account" | "tracks" }
  | { kind: "devices"; devices: readonly number[] }
  | { kind: "range"; device: number; from: number; to: number }
  | { kind: "categories"; categories: readonly string[] }
  | { kind: "fields"; fields: readonly string[] };

const categories: Record<string, string> = {
  profile: "preferences",
  log: "records of sign-ins and acts",
  other: "what you looked for and similar",
};

const fields: Record<string, string> = {
  "users.name": "your name",
  "users.mobile": "your mobile number",
  "users.language": "your language",
  "users.units": "your units",
  "users.timeZone": "your time zone",
  "users.personalisation": "whether your devices looked at last are kept",
  "users.searchHistory": "whether your searches are kept",
  "accounts.paymentMode": "the payment mode",
  "addresses.recipient": "the recipients of addresses",
  "addresses.line2": "the second lines of addresses",
  "addresses.region": "the regions of addresses",
  "addresses.postcode": "the postcodes of addresses",
  "apiKeys.lastUsedAt": "when API keys were last used",
  "passkeys.lastUsedAt": "when passkeys were last used",
  "apiKeys.name": "the names of API keys",
  "accounts.name": "the name of the account",
};

export const requests = {
  footer: "Your data",
  title: "My requests",
  lead: "What you asked for by right: how far it is, and until when it must be done.",
  leadOwner:
    "What you and the others of the account asked for by right: how far it is, and until when it must be done.",
  link: "My requests",
  toDelete: "Download or delete my data",
  none: "You have not asked for anything yet. Everything that is held about you can be seen, downloaded, corrected and deleted.",
  what: (type: string, scope: string) => `${requests.type[type] ?? type}: ${scope}`,
  type: {
    access: "See what is held",
    export: "Export",
    correct: "Correct",
    erase: "Delete",
    restrict: "Stop using",
    object: "Object to the use",
  } as Record<string, string>,
  scopeOf: (scope: Scope, time: (ms: number) => string): string => {
    switch (scope.kind) {
      case "account":
        return "the whole account";
      case "tracks":
        return "the positions of all trackers";
      case "devices":
        return `${many(scope.devices.length, "tracker", "trackers")} with all positions (${scope.devices.join(", ")})`;
      case "range":
        return `the positions of tracker ${scope.device} from ${time(scope.from)} to ${time(scope.to)}`;
      case "categories":
        return scope.categories.map((name) => categories[name] ?? name).join(", ");
      case "fields":
        return scope.fields.map((name) => fields[name] ?? name).join(", ");
    }
  },
  categories,
  fields,
  head: { what: "What", asked: "Asked", state: "State", deadline: "Done at the latest" },
  state: {
    identity_pending: "waits until it is known who asks",
    verified: "begins within the minute",
    frozen: "under way: nobody can read it any more",
    shredding: "under way: keys are being destroyed",
    purging: "under way: rows are being deleted",
    scrubbing: "under way: traces are being removed",
    propagating: "under way: other places are told",
    verifying: "under way: it is looked at whether anything is left",
    cleared: "done",
    partially_cleared: "done, but for what the law holds back",
    denied: "refused",
    revoked: "cancelled",
    expired: "ended: nobody showed who asks",
  } as Record<string, string>,
  /** A restriction or an objection has no engine. */
  waits: "with the operator",
  left: (minutes: number) =>
    minutes >= 120
      ? `${Math.floor(minutes / 60)} hours left`
      : `${many(Math.max(0, minutes), "minute", "minutes")} left`,
  late: "late",
  uncertain: "The calendar of that year is not known yet, so the earliest reading counts.",
  cancel: "Cancel",
  cancelOf: (what: string) => `Cancel: ${what}`,
  receipt: "Receipt",
  name: "Number",
  ask: "Delete a part, or something else",
  open: "Details",

  suspended: "What is suspended",
  suspendedNone: "Nothing is suspended.",
  suspendedLead:
    "Nothing more of it is stored, nothing is sent to it, and API keys and the operator's staff do not see it. You still see what is there, and can download, correct and delete it.",
  suspendedHead: ["What", "Since", "Why", ""],
  suspendedAll: "all trackers",
  suspendedOne: (id: number) => `tracker ${id}`,
  suspendedWhy: {
    restricted: "as was asked",
    objected: "as was objected",
    legislation: "as the law has changed",
  } as Record<string, string>,
  undecided: "until it is decided",
  lift: "Let it go on",
  liftOf: (what: string) => `Let it go on: ${what}`,
  liftHint: "Then what comes from now on is stored again. What came meanwhile is gone.",
  transfers: "Stop everything",
  transfersLead:
    "When a law has changed: from now on nothing of any tracker is stored or given to others. You can let it go on at any time.",
  suspendedDevice: (time: string) =>
    `Suspended since ${time}: nothing of what it sends is stored, and nothing is sent to it. What was stored before is still here for you.`,
  suspendedShort: "suspended",

  deleteTitle: "Download, then delete",
  deleteLead: "First take what you want to keep. Then everything goes, in minutes, and nobody can bring it back.",
  step1: "1. Download",
  step1Lead:
    "One file with everything that is held about the account: readable tables, tracks and a list of what is in it.",
  download: "Download everything",
  step2: "2. Delete",
  step2Lead: (people: number, devices: number) =>
    `This deletes the account with ${many(people, "person", "people")}, ${many(devices, "tracker", "trackers")} and every position.`,
  step2More:
    "Everybody is signed out, trackers are no longer heard, keys are destroyed and rows deleted. It begins within the minute, and until it has begun you can cancel it with a link that is mailed to every owner.",
  wait: "If you are downloading, wait until the file is complete: once this begins, there is nothing left to download.",
  erase: "Delete the account",
  partly: "Delete only a part",
  notOwner:
    "Only an owner can delete the account. To leave it, ask an owner to remove you. You can delete what is held about yourself:",

  partTitle: "Ask for something else",
  partLead: "Choose what is to be done, and with what.",
  typeField: "What is to be done",
  scopeField: "With what",
  scopes: {
    account: "The whole account",
    tracks: "The positions of all trackers; the trackers stay",
    devices: "Some trackers with everything that they sent",
    range: "What one tracker sent within a time",
    categories: "What is held about me in some categories",
    fields: "Some fields",
  } as Record<string, string>,
  next: "Go on",
  whichDevices: "Which trackers",
  whichDevice: "Which tracker",
  from: "From",
  to: "Until",
  timesIn: (zone: string) => `In the time of ${zone}.`,
  whichCategories: "Which categories",
  whichFields: "Which fields",
  noDevices: "There is no tracker that you may change.",
  send: "Send this request",
  sendErase: "Delete",
  final: "This cannot be undone.",

  made: "It is noted",
  madeLead: (time: string) => `It will be done by ${time} at the latest; as a rule it takes minutes.`,
  madeKeep: "Keep this address: the receipt will be there, also when the account is gone.",
  fetch: "Download",

  receiptTitle: "Receipt of a request",
  receiptLead: "It says what was done, signed by this installation. It names nobody.",
  receiptCheck: "Your browser checks it",
  receiptChecking: "Checking …",
  receiptGood: "The receipt is genuine: signature, ledger entry and published head agree. Key:",
  receiptBad: "The receipt does not check out. Keep it, and ask the operator.",
  receiptNoScript: "To check it, switch scripts on, or run: npm run -s verify-receipt receipt.json",
  receiptWhole: "The receipt as it was signed",
  receiptFile: "The receipt as a file",
  receiptPrint: "Print or save this page: the receipt is kept for three years.",
  receiptFields: {
    request: "Request",
    type: "What was asked",
    scopeClass: "About",
    level: "Known how",
    receivedAt: "Asked",
    verifiedAt: "Known who asked",
    deadline: "Due",
    frozenAt: "Closed to everybody",
    clearedAt: "Done",
    result: "In time",
    calendar: "Calendar",
    keysDestroyed: "Keys destroyed",
  } as Record<string, string>,
  receiptScopes: {
    account: "the whole account",
    tracks: "the positions of all trackers",
    devices: "trackers with all positions",
    range: "the positions of a tracker within a time",
    categories: "some categories",
    fields: "some fields",
  } as Record<string, string>,
  receiptResults: { done: "yes", late: "no, late", partial: "yes, but for what is held back" } as Record<
    string,
    string
  >,
  receiptStores: "Where, and what is left",
  receiptStoreHead: ["Place", "Rows deleted", "Bytes", "Keys destroyed", "Left"],
  receiptHeld: "Held back",
  heldReasons: { hold: "an order or a claim", statute: "a law", obligation: "something owed" } as Record<
    string,
    string
  >,
  heldBases: {
    court_order: "order of a court",
    authority_order: "order of an authority",
    legal_claim: "legal claim",
    incident: "security incident",
    "cn-shenzhen-passenger": "Shenzhen, passenger vehicles",
    "cn-road-transport": "PRC, road transport",
    tax_law: "tax law",
    ecommerce_law: "e-commerce law",
    warranty: "warranty",
    contract: "contract",
    dispute: "dispute",
  } as Record<string, string>,
  heldUntil: (reason: string, basis: string, until: unknown) => [`${reason} (${basis}), at most until `, until],
  receiptTrackers: "What the trackers hold themselves",
  receiptTrackersLead:
    "Trackers that were connected were told to delete it. Nothing else of the request depends on what they answered.",
  trackerHolds: {
    cache: "Reports not delivered yet",
    phones: "Phone numbers",
    listeners: "Numbers that may listen in",
    cards: "Cards and keys",
    pictures: "Pictures",
  } as Record<string, string>,
  trackerSaid: {
    confirmed: "deleted, says the tracker",
    sent: "told, no answer",
    refused: "refused",
    held: "not told, because it must be kept",
    offline: "not connected",
    unknown: "no command known",
  } as Record<string, string>,
  stores: {
    tracks: "Databases with tracks",
    records: "Database of accounts",
    keys: "Key store",
    range: "Tracks, in part",
    fields: "Fields and preferences",
    trackers: "Trackers",
    tombstones: "Other copies",
    silenced: "Trackers that go on sending",
  } as Record<string, string>,

  publicTitle: "Ask for your data to be deleted",
  publicLead: "For people who cannot sign in. If you can, ask on your profile: it begins at once.",
  publicSignIn: "Sign in",
  publicHow:
    "We mail a link to your confirmed address. It asks for a code of your authenticator app or a recovery code. Without a code, two of our staff decide within one business day, and everybody concerned hears of it a day before it counts. Nobody asks for a copy of an identity card.",
  publicCopy: "A copy of your data is given only to somebody who is signed in:",
  publicReset: "choose a new password by mail.",
  email: "Your e-mail address",
  askLink: "Mail me a link",
  askedTitle: "Look into your mailbox",
  asked: (email: string) =>
    `If ${email} has an account here, a link is on its way. It works once, for an hour. Nothing is done before you have used it.`,

  verifyTitle: "Show that it is you",
  verifyLead: "The mail was the first proof. A code is the second.",
  verifyWhat: "You asked for this",
  code: "Code of your authenticator app, or a recovery code",
  verify: "Confirm",
  noCode: "I have neither",
  noCodeLead: "Then two of our staff decide whether it is you, within one business day.",
  verified: "It is noted, and begins within the minute. Every confirmed address is told, with a link to cancel it.",
  leftToStaff: "It is with our staff. You hear of it by mail.",

  cancelTitle: "Cancel this request?",
  cancelLead: "As long as nothing has been done for it, it can be taken back.",
  cancelled: "Cancelled. Nothing was changed.",
  cancelTooLate: "It is too late: it has begun, or it is over.",

  adminLead:
    "What customers ask for by right, newest first. Look at the nearest deadline first; nothing here shows who they are.",
  adminNone: "Nobody has asked for anything.",
  adminOpen: "Open only",
  adminAll: "All",
  adminTitle: (name: string) => `Request ${name}`,
  account: "Account",
  level: "Known how",
  levels: {
    V0: "signed in, and proved anew",
    V1: "mail and code",
    V2: "two of the staff, and a day's notice",
    VD: "who drives or carries the tracker, by a link of the customer's",
  } as Record<string, string>,
  counts: "Counts from",
  confirmations: "Confirmed by",
  confirmBy: (id: number) => `staff ${id}`,
  wrongCodes: "Wrong codes",
  reason: "Why",
  reasonHint:
    "The customer reads it. How you know: an order number, an activation code, a press of SOS. Never a copy of an identity card.",
  confirm: "It is them",
  confirmHint: "Two of the staff must say so. Everybody concerned is then told, and a day later it counts.",
  proof: "Two presses of SOS",
  proofLead:
    "Ask them to press SOS twice on a tracker of the account, within ten minutes from now. Whether they did is evidence beside others; on which tracker and where is not shown.",
  proofAsk: "Wait for two presses of SOS",
  proofSeen: "came",
  proofWaits: "waited for, until",
  proofNone: "did not come in time",
  deny: "Refuse",
  resolve: "Uphold",
  resolveHint: "Upheld, it stays suspended until the customer lets it go on. Refused, it goes on at once.",
  inForce: "Suspends",
  liftedAt: (time: unknown): readonly unknown[] => ["until ", time],
  another: "Noted. Somebody else of the staff must confirm it, too.",
  announced: "Everybody concerned is told. It counts in a day, unless it is cancelled.",
  onBehalf: "Write down a request",
  onBehalfLead: "For who has no channel left. Nothing happens before two of the staff have confirmed it.",
  accountNumber: "Number of the account",
  alarm: (percent: number) => (percent >= 100 ? "late" : `${percent} % of the time is over`),
};

export const requestMails: Pick<
  MailTexts,
  | "requestLink"
  | "requestMade"
  | "requestNotice"
  | "requestDone"
  | "requestCleared"
  | "requestDenied"
  | "requestResolved"
  | "requestClock"
> = {
  requestLink: () => ({
    subject: "Your request about your data",
    lines: [
      "Somebody asked with this address for something that concerns your data. The link below works once, for an hour, and asks for a code of your authenticator app or a recovery code.",
      "If it was not you, do nothing: nothing is done.",
    ],
    action: "Show that it is you",
  }),
  requestMade: ({ what, time }) => ({
    subject: `Your request: ${what}`,
    lines: [
      `This was asked for and will be done, by ${time} at the latest: ${what}.`,
      "If that is not right, cancel it now: once it has begun, it cannot be stopped.",
    ],
    action: "Cancel it",
  }),
  requestNotice: ({ what, time }) => ({
    subject: `In a day: ${what}`,
    lines: [
      `Somebody who cannot sign in asked for this, and our staff believe that it is one of you: ${what}.`,
      `It counts from ${time}. If it was none of you, cancel it: then nothing is done.`,
    ],
    action: "Cancel it",
  }),
  requestDone: ({ what }) => ({
    subject: "Done as you asked",
    lines: [`With your account this was asked for and done: ${what}.`, "If it was not you, secure your account."],
    action: "Secure my account",
  }),
  requestCleared: ({ what }) => ({
    subject: "Deleted as you asked",
    lines: [
      `This was asked for and is done: ${what}. Nothing of it is left in any store, and older copies of it open no more.`,
      "The receipt says what went from where, and can be checked by anybody. Keep its address: it needs no sign-in.",
    ],
    action: "The receipt",
  }),
  requestDenied: ({ what, reason }) => ({
    subject: "Your request was refused",
    lines: [
      `You asked for this: ${what}. It was refused: “${reason}”`,
      "You can ask again, answer to the operator, or complain to the authority that supervises it.",
    ],
    action: "My requests",
  }),
  requestResolved: ({ what, reason }) => ({
    subject: "Your request is done",
    lines: [
      `You asked for this: ${what}. It is done: “${reason}”`,
      "If that is not what you asked for, answer to the operator or ask again.",
    ],
    action: "My requests",
  }),
  requestClock: ({ percent, time }) => ({
    subject: Number(percent) >= 100 ? "A request is late" : `A request has used ${percent} % of its time`,
    lines: [
      Number(percent) >= 100 ? `It was due at ${time}. The ledger says so for good.` : `It is due at ${time}.`,
      "Whoever asked is waiting for it.",
    ],
    action: "Look at it",
  }),
};

export const requestActs: Record<string, string> = {
  "request.made": "Something was asked for by right",
  "request.cancelled": "A request was cancelled",
  "request.confirmed": "Staff confirmed whose a request is",
  "request.proof": "Staff asked for two presses of SOS",
  "request.denied": "A request was refused",
  "request.resolved": "A request was carried out",
  "suspension.lifted": "What was suspended goes on",
  "transfers.suspended": "Everything was suspended",
};

/** What the rules say about requests. */
export const requestProblems: Record<string, string> = {
  "This was asked for already, and is not over":
    "You have asked for this already, and it is not over yet. See “My requests”.",
  "% must name at least one field": "Choose at least one field.",
  "No such receipt: it is there when the request has been carried out":
    "There is no such receipt yet. It is there when the request has been carried out: look again in some minutes.",
  "% must be account, tracks or devices: nothing else can be left unused alone":
    "Only the whole account, all positions or some trackers can be left unused. A stretch or a part can be deleted.",
  "% must not be range: object to the use of a device, or have the stretch erased":
    "One cannot object to a stretch alone. Choose the tracker, or have the stretch deleted.",
  "Only an owner, or who asked for it, can let this go on": "Only an owner, or who asked for it, can let this go on.",
  "Presses are waited for already, or this request is not the staff's to decide":
    "They are waited for already, or this request is not yours to decide.",
  "% must be a day and a time": "Enter a day and a time.",
  "% must be after scope.from": "The end must be after the beginning.",
  "% must name at least one device": "Choose at least one tracker.",
  "% must name devices that are yours": "Choose trackers of yours.",
  "% must not be in the future": "The beginning must not be in the future.",
  "% must be of profile, log, other": "Choose at least one category.",
};
