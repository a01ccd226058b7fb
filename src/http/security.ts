import type { Route } from "./route.ts";

export const SECURITY: readonly Route[] = [];
