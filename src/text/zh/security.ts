import type { security as en } from "../en/security.ts";

export const security: typeof en = {};
