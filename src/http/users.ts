import type { Route } from "./route.ts";

export const USERS: readonly Route[] = [];
