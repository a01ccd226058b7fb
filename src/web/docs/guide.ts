import { LIMITS } from "../../limits.ts";
import type { Guide } from "./page.ts";

/** What the reference says about the API as a whole; also the head of the OpenAPI document. */
export const ABOUT = {
  title: "Ephemeris",
  version: "1",
  description:
    "Tracking for Meitrack GPS trackers: register devices, read where they are and were, send them commands. " +
    "Positions are deleted when the retention period ends.",
  tags: [
    { name: "Sign-up", description: "From an address to an account, by links that are mailed and work once." },
    { name: "Sessions", description: "Signing people in and out. A session is a cookie; a program takes an API key." },
    { name: "Security", description: "Second factors, passkeys, passwords, and securing an account." },
    {
      name: "Profile",
      description: "What is held about you: read it, correct it, clear it. In every state of the account.",
    },
    { name: "Devices", description: "Trackers of your account. A device of another account does not exist for you." },
    { name: "Positions", description: "Where devices are and were, as JSON or as a file." },
    {
      name: "Your rights",
      description: "See, download, correct, delete, restrict, object: within one business day, with a receipt.",
    },
    {
      name: "Who drives or carries a tracker",
      description: "Links with which they see how much is held of their time, and ask for it to be deleted.",
    },
    { name: "Exports", description: "Everything that is held about you, as files to take with you." },
    { name: "Sealing", description: "Positions that only the holder of a key of yours can read." },
    { name: "Commands", description: "What a tracker is told to do, and what it answered." },
    { name: "Account", description: "The people of your account, its API keys, and what was done with both." },
    { name: "Statement", description: "The privacy statement and the terms: every version, and what was accepted." },
    { name: "Brands", description: "For the operator: names, colours and texts by hostname." },
    { name: "Bridge", description: "How a bridge delivers what trackers send." },
    { name: "Activation", description: "For the operator: trackers that were sold, and the codes on their boxes." },
    { name: "Administration", description: "For the operator of this installation." },
    { name: "Service", description: "The service itself." },
  ],
};

const { key } = LIMITS.rate;
/** What holds for every request. */
export const CONVENTIONS: Guide["conventions"] = [
  {
    title: "Authentication",
    text:
      "Send your API key with every request: Authorization: Bearer eph_... A key with the scope read can only read. " +
      "Keys are shown once; only their hash is stored.",
  },
  {
    title: "Lists",
    text: `Lists answer {"data": [...], "nextCursor": ...}. Give nextCursor as cursor to read on; null ends the list. limit is ${LIMITS.pageDefault} unless you say otherwise, ${LIMITS.pageMax} at most.`,
  },
  {
    title: "Repeating a request",
    text:
      "Send an Idempotency-Key with a request that creates: repeated with the same key within a day it gets the " +
      "first answer again (Idempotent-Replayed: true) and does nothing. The same key with another request is a conflict.",
  },
  {
    title: "Reading again, changing safely",
    text:
      "A single object has an ETag. If-None-Match answers 304 when nothing changed; If-Match on PATCH and DELETE " +
      "answers 412 when something did.",
  },
  {
    title: "How often",
    text: `${key.requests} requests in ${key.windowS} s per key. RateLimit and RateLimit-Policy say what is left; 429 comes with Retry-After.`,
  },
  {
    title: "Times and numbers",
    text: "Times are ISO 8601 in UTC. Coordinates are degrees, WGS 84, north and east positive. Units are in the names.",
  },
  {
    title: "When something is wrong",
    text:
      "Errors are application/problem+json (RFC 9457) with a code, a detail in words, the field at fault and a " +
      "requestId, which is also in X-Request-Id. Unknown fields and query parameters are refused, not ignored.",
  },
];
