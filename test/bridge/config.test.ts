import { describe, expect, test } from "vitest";
import { ConfigError, DEFAULTS, readConfig } from "../../bridge/config.ts";
import { LIMITS } from "../../bridge/limits.ts";

const GOOD = { EDGE_URL: "https://edge.example/base", BRIDGE_TOKEN: "secret-token" };

test("readConfig() needs an edge and a token only", () => {
  const config = readConfig(GOOD);
  expect(config).toMatchObject({
    host: DEFAULTS.BRIDGE_HOST,
    port: DEFAULTS.BRIDGE_PORT,
    metricsPort: DEFAULTS.METRICS_PORT,
    spoolFolder: DEFAULTS.SPOOL_DIR,
    tls: null,
    reach: null,
    limits: { ...LIMITS, connections: config.limits.connections },
  });
  expect(config.limits.connections).toBeLessThanOrEqual(LIMITS.connections);
  expect(config.edgeUrl.href).toBe("https://edge.example/base");
});

const BAD: [name: string, value: string | undefined, env?: Record<string, string>][] = [
  ["EDGE_URL", undefined],
  ["EDGE_URL", "edge.example"],
  ["EDGE_URL", "ftp://edge.example"],
  ["EDGE_URL", "https://user:pass@edge.example"],
  ["BRIDGE_TOKEN", undefined],
  ["BRIDGE_TOKEN", "with space"],
  ["BRIDGE_PORT", "70000"],
  ["BRIDGE_PORT", "-1"],
  ["BRIDGE_PORT", "5020x"],
  ["METRICS_PORT", "1.5"],
  ["MAX_CONNECTIONS", "0"],
  ["SPOOL_BYTES", "1000"],
  ["SPOOL_SEGMENT_BYTES", "1000"],
  ["SPOOL_AGE_S", "0"],
  ["BRIDGE_FAILPOINT", "Z:1"],
  ["BRIDGE_FAILPOINT", "A:0"],
  ["TLS_PORT", "5021"],
  ["TLS_CERT", "/nowhere/cert.pem", { TLS_PORT: "5021", TLS_KEY: "/nowhere/key.pem" }],
];

describe("readConfig() refuses a bad value with a sentence that names it", () => {
  for (const [name, value, env = {}] of BAD) {
    test(`${name}=${value}`, () => {
      const bad: Record<string, string | undefined> = { ...GOOD, ...env, [name]: value };
      expect(() => readConfig(bad)).toThrow(ConfigError);
      expect(() => readConfig(bad)).toThrow(name);
    });
  }
});

test("readConfig() does not repeat the token in its message", () => {
  expect(() => readConfig({ ...GOOD, BRIDGE_TOKEN: "pass word" })).toThrow(/^(?!.*pass word)/);
});
