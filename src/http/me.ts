import type { Route } from "./route.ts";

export const ME: readonly Route[] = [];
