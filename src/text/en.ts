import { admin } from "./en/admin.ts";
import { auth } from "./en/auth.ts";
import { common } from "./en/common.ts";
import { devices } from "./en/devices.ts";
import { legal } from "./en/legal.ts";
import { mail } from "./en/mail.ts";
import { people } from "./en/people.ts";
import { problems } from "./en/problems.ts";
import { profile } from "./en/profile.ts";
import { security } from "./en/security.ts";

/** Every text that a person reads, in English. Another language is one more of these, and a row in index.ts. */
export const en = { admin, auth, common, devices, legal, mail, people, problems, profile, security };
export type Text = typeof en;
