import { defineConfig } from "vitest/config";

/** Whole platforms, killed and restarted: they run after the others, two at a time, so that neither disturbs the other. */
const WHOLE = ["test/e2e/**/*.test.ts"];

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    globalSetup: ["test/bundle.ts"],
    projects: [
      {
        extends: true,
        test: { name: "unit", include: ["test/**/*.test.ts"], exclude: WHOLE, sequence: { groupOrder: 0 } },
      },
      {
        extends: true,
        test: { name: "e2e", include: WHOLE, maxWorkers: 2, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
