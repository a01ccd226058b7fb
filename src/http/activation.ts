import type { Route } from "./route.ts";

export const ACTIVATION: readonly Route[] = [];
