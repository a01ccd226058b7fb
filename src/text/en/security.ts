export const security = {
  /** What was added or removed, within a sentence of a mail. */
  what: { totp: "an authenticator app", passkey: "a passkey" },
};
