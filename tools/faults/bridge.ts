import { startBridge } from "../../bridge/bridge.ts";
import { readConfig } from "../../bridge/config.ts";
import type { Limits } from "../../bridge/limits.ts";
import { jsonLog } from "../../bridge/log.ts";

/** The bridge as bridge/main.ts runs it, with rows of its table of limits replaced by those in BRIDGE_LIMITS (JSON). */
const config = readConfig(process.env);
const limits: Limits = { ...config.limits, ...JSON.parse(process.env.BRIDGE_LIMITS ?? "{}") };
const log = jsonLog((line) => process.stderr.write(line), Date.now);
const bridge = await startBridge({ ...config, limits }, { log });
const { tcp, udp, metrics } = bridge.ports;
process.stdout.write(`bridge listening tcp=${tcp} udp=${udp} metrics=${metrics}\n`);
process.once("SIGTERM", () => void bridge.stop().then(() => process.exit(0)));
