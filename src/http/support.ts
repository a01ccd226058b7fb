import type { Route } from "./route.ts";

export const SUPPORT: readonly Route[] = [];
