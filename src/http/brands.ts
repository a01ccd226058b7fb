import type { Route } from "./route.ts";

export const BRANDS: readonly Route[] = [];
