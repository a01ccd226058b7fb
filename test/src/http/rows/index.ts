import { ADMIN_ROWS } from "./admin.ts";
import { AUTH_ROWS } from "./auth.ts";
import { CORE_ROWS } from "./core.ts";
import { DEVICES_ROWS } from "./devices.ts";
import { EXPORT_ROWS } from "./exports.ts";
import { HOLDS_ROWS } from "./holds.ts";
import { LEGAL_ROWS } from "./legal.ts";
import { PEOPLE_ROWS } from "./people.ts";
import { PROFILE_ROWS } from "./profile.ts";
import { REQUESTS_ROWS } from "./requests.ts";
import type { Rows } from "./row.ts";
import { SEALING_ROWS } from "./sealing.ts";
import { SECURITY_ROWS } from "./security.ts";
import { SUBJECTS_ROWS } from "./subjects.ts";
import { WEB_ROWS } from "./web.ts";

/** One valid request for every route. A route without a row fails routes.test.ts. */
export const ROWS: Rows = {
  ...CORE_ROWS,
  ...AUTH_ROWS,
  ...SECURITY_ROWS,
  ...SEALING_ROWS,
  ...EXPORT_ROWS,
  ...HOLDS_ROWS,
  ...LEGAL_ROWS,
  ...DEVICES_ROWS,
  ...PEOPLE_ROWS,
  ...PROFILE_ROWS,
  ...REQUESTS_ROWS,
  ...SUBJECTS_ROWS,
  ...ADMIN_ROWS,
  ...WEB_ROWS,
};
