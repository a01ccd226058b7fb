import type { Route } from "../route.ts";

export const DEVICES_PAGES: readonly Route[] = [];
