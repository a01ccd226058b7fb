import type { Route } from "./route.ts";

export const DOCUMENTS: readonly Route[] = [];
