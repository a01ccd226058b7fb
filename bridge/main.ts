import { type Bridge, startBridge } from "./bridge.ts";
import { ConfigError, readConfig } from "./config.ts";
import { SpoolInUseError } from "./lock.ts";
import { jsonLog } from "./log.ts";

const log = jsonLog((line) => process.stderr.write(line), Date.now);

/** Exit codes: 0 after a clean stop, 2 for a setting that cannot be used, 1 for anything else. */
async function main(): Promise<void> {
  let bridge: Bridge;
  try {
    const config = readConfig(process.env);
    const { connections } = config.limits;
    if (connections < config.connectionsWanted) {
      log("warn", "fewer connections than set: the limit on open files is too low", { connections });
    }
    bridge = await startBridge(config, { log });
  } catch (error) {
    const settings = error instanceof ConfigError || error instanceof SpoolInUseError;
    process.stderr.write(`Cannot start the bridge: ${(error as Error).message}\n`);
    process.exit(settings ? 2 : 1);
  }
  const { tcp, udp, metrics, tls } = bridge.ports;
  process.stdout.write(
    `bridge listening tcp=${tcp} udp=${udp} metrics=${metrics}${tls === null ? "" : ` tls=${tls}`}\n`,
  );
  let stopping = false;
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    bridge.stop().then(
      () => process.exit(0),
      (error: Error) => {
        log("error", "stopping failed", { detail: error.message });
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
}

await main();
