/** What each mail needs to be written. `link` is the page that it leads to. */
export interface MailData {
  /** To an address that signs up. */
  signup: { link: string };
  /** To one that has an account already. */
  signupKnown: { link: string };
  reset: { link: string };
  passwordChanged: { link: string };
  /** To the new address; then to the old one. */
  emailChange: { link: string };
  emailChanged: { link: string };
  mobileChanged: { link: string };
  newSignIn: { browser: string; time: string; link: string };
  lockout: { time: string; link: string };
  factorAdded: { what: string; link: string };
  factorRemoved: { what: string; link: string };
  /** The link that secures an account, for who cannot sign in. */
  report: { link: string };
  secured: { link: string };
  invite: { account: string; link: string };
  /** `device` is the last four digits of the IMEI. */
  activationTries: { device: string; link: string };
  statementChanged: { title: string; effective: string; link: string };
  windowOpened: { until: string; link: string };
  /** To every owner: what is stored from now on is for other eyes than before. */
  sealingKeyAdded: { link: string };
  sealingKeyRevoked: { link: string };
  /** The last key was revoked. */
  sealingEnded: { link: string };
  setup: { link: string };
  /** To who cannot sign in: the first of two proofs. */
  requestLink: { link: string };
  /** `what` a request is about, and `time` until when it is done; the link cancels it. */
  requestMade: { what: string; time: string; link: string };
  /** `time`: from when it counts. */
  requestNotice: { what: string; time: string; link: string };
  requestDone: { what: string; link: string };
  /** The link leads to the receipt. */
  requestCleared: { what: string; link: string };
  requestDenied: { what: string; reason: string; link: string };
  requestResolved: { what: string; reason: string; link: string };
  /** To the staff. */
  requestClock: { percent: string; time: string; link: string };
  /** How many orders that keep something are to be looked at again. */
  holdReview: { count: string; link: string };
  /** To who may answer for the customer; `time` until when. */
  subjectAsked: { what: string; time: string; link: string };
  /** To the staff, when the customer has not answered. */
  subjectLeft: { time: string; link: string };
  /** To the owners: what the staff decided in their place. */
  subjectGranted: { what: string; reason: string; link: string };
  subjectRefused: { what: string; reason: string; link: string };
}
export type MailKind = keyof MailData;

/** A mail as a language writes it: lines are paragraphs, a link stands alone. */
export interface MailText {
  subject: string;
  lines: readonly string[];
  /** The text of the link, which is `data.link`. */
  action?: string;
}

/** Every mail of a language. */
export type MailTexts = { readonly [K in MailKind]: (data: MailData[K]) => MailText };
