import type { MailTexts } from "../mails.ts";

// Each says why it comes and what to do if it was somebody else.
const notYou = "If it was not you, secure your account now: that ends every session and every API key.";
const ignore = "If it was not you, do nothing: without the link nothing happens.";

export const mail: MailTexts = {
  signup: () => ({
    subject: "Confirm your address",
    lines: [
      "Somebody, you we hope, is opening an account with this address. The link below confirms it; it works once, for seven days.",
      "If it was not you, do nothing: after seven days everything about it is deleted.",
    ],
    action: "Confirm the address",
  }),
  signupKnown: () => ({
    subject: "You have an account already",
    lines: [
      "Somebody tried to open an account with this address, which has one. Sign in with it; if the password is lost, the sign-in page helps.",
      "If it was not you, do nothing: your account is as it was.",
    ],
    action: "Sign in",
  }),
  reset: () => ({
    subject: "Choose a new password",
    lines: ["A new password was asked for at your account. The link below works once, for an hour.", ignore],
    action: "Choose a password",
  }),
  passwordChanged: () => ({
    subject: "Your password was changed",
    lines: ["The password of your account was changed, and your other sessions have ended.", notYou],
    action: "Secure my account",
  }),
  emailChange: () => ({
    subject: "Confirm your new address",
    lines: [
      "An account is to use this address from now on. The link below confirms it; it works once, for a day.",
      ignore,
    ],
    action: "Confirm the address",
  }),
  emailChanged: () => ({
    subject: "Your account has a new address",
    lines: [
      "Your account now uses another e-mail address; this is the last mail to this one.",
      "If it was not you, the link below gives the account this address back and ends everything that a stranger could use. It works for three days.",
    ],
    action: "Secure my account",
  }),
  mobileChanged: () => ({
    subject: "Your mobile number was changed",
    lines: ["The mobile number of your account was changed or removed.", notYou],
    action: "Secure my account",
  }),
  newSignIn: ({ browser, time }) => ({
    subject: "A new sign-in to your account",
    lines: [
      `Somebody signed in to your account with a browser that we did not know: ${browser}, ${time}.`,
      "If it was you, there is nothing to do.",
      notYou,
    ],
    action: "Secure my account",
  }),
  lockout: ({ time }) => ({
    subject: "Too many wrong sign-ins",
    lines: [
      `Somebody tried to sign in to your account and was wrong too often. Signing in waits until ${time}.`,
      "If it was you, try again then, or choose a new password. If it was not, the account is safe: nobody got in. A second factor keeps it so.",
    ],
    action: "Choose a password",
  }),
  factorAdded: ({ what }) => ({
    subject: "A way to sign in was added",
    lines: [`Your account can now be opened with: ${what}.`, notYou],
    action: "Secure my account",
  }),
  factorRemoved: ({ what }) => ({
    subject: "A way to sign in was removed",
    lines: [`Your account no longer asks for or takes: ${what}.`, notYou],
    action: "Secure my account",
  }),
  report: () => ({
    subject: "Secure your account",
    lines: [
      "Somebody asked to secure your account. The link below leads to one button that ends every session and every API key of yours; it works once, for a day.",
      ignore,
    ],
    action: "Secure my account",
  }),
  secured: () => ({
    subject: "Your account is secured",
    lines: [
      "Every session and every API key of yours has ended, as it was asked for on the page “Secure my account”. Choose a new password to go on.",
      "If it was not you, do it all the same: nobody but you can read this mail.",
    ],
    action: "Choose a password",
  }),
  invite: ({ account }) => ({
    subject: "You are invited",
    lines: [
      `Somebody of “${account}” invites you to join it. The link below is for you alone; it works once, for seven days.`,
      "If you do not know them, do nothing: after seven days your address is deleted.",
    ],
    action: "Join",
  }),
  activationTries: ({ device }) => ({
    subject: "Wrong codes for your tracker",
    lines: [
      `Somebody entered wrong activation codes for your tracker whose number ends in ${device}. It stays yours; further tries wait for an hour.`,
      "There is nothing to do. If it was you: the tracker is in your account already.",
    ],
    action: "See the devices",
  }),
  statementChanged: ({ title, effective }) => ({
    subject: `New version: ${title}`,
    lines: [
      `“${title}” changes on ${effective}. Read what is different and decide if you accept it.`,
      "Until you do, from that day on you can see, export and delete what is yours, and change nothing else.",
    ],
    action: "Read and decide",
  }),
  windowOpened: ({ until }) => ({
    subject: "Support may see your trackers",
    lines: [
      `In your account, our staff were allowed to see your trackers' positions until ${until}. Each look is listed for you, and you can end it at any time.`,
      notYou,
    ],
    action: "See who looked",
  }),
  setup: () => ({
    subject: "You join the staff",
    lines: [
      "An administrator made an account for you, to run this installation. Choose your password; the link works once, for seven days.",
      "If you did not expect this, do nothing.",
    ],
    action: "Choose a password",
  }),
};
