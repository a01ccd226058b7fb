import type { Route } from "../route.ts";
import { CALENDAR_PAGES } from "./admin/calendar.ts";
import { CUSTOMERS_PAGES } from "./admin/customers.ts";
import { HOLDS_ADMIN_PAGES } from "./admin/holds.ts";
import { OPERATION_PAGES } from "./admin/operation.ts";
import { PUBLISHING_PAGES } from "./admin/publishing.ts";
import { REQUESTS_ADMIN_PAGES } from "./admin/requests.ts";
import { STAFF_PAGES } from "./admin/staff.ts";
import { SUBJECTS_ADMIN_PAGES } from "./admin/subjects.ts";

/** The operator's panel. */
export const ADMIN_PAGES: readonly Route[] = [
  CUSTOMERS_PAGES,
  REQUESTS_ADMIN_PAGES,
  SUBJECTS_ADMIN_PAGES,
  HOLDS_ADMIN_PAGES,
  PUBLISHING_PAGES,
  STAFF_PAGES,
  OPERATION_PAGES,
  CALENDAR_PAGES,
].flat();
