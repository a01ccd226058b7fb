import type { MailTexts } from "./mails.ts";

/** Of links for who drives or carries a tracker, and what is asked with them. */
export const subjects = {
  // Whoever has the link.
  title: "What is held about you",
  lead: "You drove or carried a tracker in this time. Whoever runs it gave you this link. You need no account, and nothing about you is noted when you use it.",
  over: "This link is over. What you asked with it is answered here.",
  time: "The time that it is about",
  until: "This link works until",
  held: "What is held of this time",
  heldHead: ["What", "Kind of data", "What for", "How many", "First", "Last", "Gone at the latest"],
  kinds: { positions: "Positions", commands: "Commands to the tracker" },
  categories: { location: "whereabouts", device: "devices and what they are called" },
  purposes: {
    tracking: "to show where the tracker is and was",
    control: "to send commands to trackers and show their replies",
  },
  noWhere: "Where you were is not shown here: the link may be in other hands.",
  track: "The positions as a file:",
  ask: "Ask for something",
  askLead:
    "Your request goes to whoever runs the tracker. They have ten days for an answer. After that the operator of this service decides within one business day.",
  type: "What is to be done",
  types: { erase: "Delete the positions", object: "I object to their use" },
  part: "Leave both times empty for all of it.",
  from: "From",
  to: "Until",
  send: "Send this request",
  sent: "It is noted. Keep this link: the answer and the receipt will be here.",
  asked: "What you asked",
  askedHead: ["What", "Asked", "State", "Answer"],
  stretch: (from: string, to: string) => `${from} to ${to}`,
  what: (type: "erase" | "object", stretch: string) => `${subjects.types[type]}: ${stretch}`,
  state: {
    open: (time: string) => `with whoever runs the tracker, until ${time}`,
    left: (time: string) => `with the operator’s staff, until ${time}`,
    accepted: "accepted",
    refused: "refused",
  },
  by: { customer: "whoever runs the tracker", staff: "the operator’s staff" },
  answer: (by: string, reason: string) => `${by}: “${reason}”`,
  receipt: "Receipt",
  complain: "You can also complain to the authority that supervises data protection where you live.",

  // The customer.
  pageTitle: (device: string) => `Who drives or carries ${device}`,
  pageLink: "Who drives or carries it",
  pageLead:
    "They have rights of their own. Give them a link for the time in which they had the tracker: with it they see how much is held, and can ask for it to be deleted. Who they are is not stored.",
  links: "Links",
  linksHead: ["Time", "Made", "Until", "State", ""],
  noLinks: "There is no link yet.",
  linkState: { works: "works", ended: "ended", over: "over" },
  revoke: "End",
  revokeOf: (time: string) => `End the link for ${time}`,
  make: "Make a link",
  makeFrom: "They had it from",
  makeTo: "until",
  expires: "The link works until",
  expiresHint: "Leave empty for 90 days.",
  showsTrack: "They may read the positions, too",
  showsTrackHint: "Whoever has the link sees where the tracker was in this time.",
  made: "Give this to whoever had the tracker. It is shown this once.",
  requests: "What they ask",
  requestsHead: ["What", "Asked", "State"],
  noRequests: "Nobody has asked for anything.",
  requestTitle: "Somebody asks for something",
  requestLead: "Somebody who had the tracker asks for this with a link that you gave them.",
  device: "Tracker",
  requestUntil: "Answer until",
  reason: "Your answer",
  reasonHint: "They read it. An objection, and a no, need one.",
  accept: "Yes",
  acceptErase: "Yes, delete these positions",
  refuse: "No",
  answered: "The answer",

  // The staff.
  adminLink: "From who drives or carries trackers",
  adminTitle: "From who drives or carries trackers",
  adminLead:
    "What customers did not answer in ten days. It is yours to decide within one business day; whoever asked reads your reason.",
  adminHead: ["What", "Account", "Asked", "State", "Decide until"],
  adminNone: "Customers have answered everything.",
  adminReason: "Why",
};

export const subjectMails: Pick<MailTexts, "subjectAsked" | "subjectLeft" | "subjectGranted" | "subjectRefused"> = {
  subjectAsked: ({ what, time }) => ({
    subject: `Somebody who had your tracker asks: ${what}`,
    lines: [
      `With a link that you gave them, somebody who drives or carries a tracker of yours asks for this: ${what}.`,
      `Answer by ${time}. Without an answer of yours our staff decide.`,
    ],
    action: "Answer",
  }),
  subjectLeft: ({ time }) => ({
    subject: "A request that its customer did not answer",
    lines: [
      "Somebody who drives or carries a tracker asked its customer for something, and had no answer in ten days.",
      `It is yours to decide, by ${time}.`,
    ],
    action: "Look at it",
  }),
  subjectGranted: ({ what, reason }) => ({
    subject: `Decided in your place: ${what}`,
    lines: [
      `Somebody who had your tracker asked you for this, and you did not answer in ten days: ${what}.`,
      `Our staff have said yes: “${reason}”`,
    ],
    action: "Look at it",
  }),
  subjectRefused: ({ what, reason }) => ({
    subject: `Refused in your place: ${what}`,
    lines: [
      `Somebody who had your tracker asked you for this, and you did not answer in ten days: ${what}.`,
      `Our staff have said no: “${reason}”`,
    ],
    action: "Look at it",
  }),
};

export const subjectActs: Record<string, string> = {
  "subject.linked": "A link was made for who drives or carries a tracker",
  "subject.revoked": "A link for who drives or carries a tracker was ended",
  "subject.asked": "Somebody who drives or carries a tracker asked for something",
  "subject.accepted": "What somebody who drives or carries a tracker asked for was accepted",
  "subject.refused": "What somebody who drives or carries a tracker asked for was refused",
};

export const subjectProblems: Record<string, string> = {
  "% must be after from": "The end must be after the beginning.",
  "% must be at most # days after from": "The time must be # days at most.",
  "% must be in the future": "“%” must be in the future.",
  "% must be at most # days from now": "“%” must be at most # days from now.",
  "% must not be before what this link is about": "This is before the time that this link is about.",
  "% must not be after what this link is about": "This is after the time that this link is about.",
  "This device has # links already: revoke one first": "This tracker has # links already. End one first.",
  "This was asked already, and waits for an answer": "You have asked for this already, and it waits for an answer.",
  "This was answered already": "This was answered already.",
};
