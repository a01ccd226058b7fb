import type { Route } from "./route.ts";

export const SIGNUP: readonly Route[] = [];
