import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Bridge, type BridgeParts, startBridge } from "../../bridge/bridge.ts";
import type { Config, TlsConfig } from "../../bridge/config.ts";
import { LIMITS, type Limits } from "../../bridge/limits.ts";
import type { LogFields } from "../../bridge/log.ts";
import { FakeEdge } from "./fake-edge.ts";

const cleanUp: (() => unknown)[] = [];

/** For afterEach: stops what the test started, the last first. */
export async function stopAll(): Promise<void> {
  for (const stop of cleanUp.splice(0).reverse()) await stop();
}

export const later = (stop: () => unknown): unknown => cleanUp.push(stop);

export async function aFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "bridge-"));
  later(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export interface BridgeOptions {
  limits?: Partial<Limits>;
  folder?: string;
  edge?: FakeEdge;
  edgeUrl?: URL;
  tls?: TlsConfig;
  parts?: Partial<BridgeParts>;
}

/** A bridge in this process on free loopback ports, with a small spool and short waits, and a fake edge. */
export async function aBridge(options: BridgeOptions = {}) {
  const edge = options.edge ?? (await new FakeEdge().listen());
  if (options.edge === undefined) later(() => edge.close());
  const folder = options.folder ?? (await aFolder());
  const lines: { level: string; message: string; fields: LogFields }[] = [];
  const config: Config = {
    edgeUrl: options.edgeUrl ?? edge.url,
    token: "token",
    host: "127.0.0.1",
    port: 0,
    metricsPort: 0,
    spoolFolder: folder,
    tls: options.tls ?? null,
    reach: null,
    connectionsWanted: LIMITS.connections,
    limits: {
      ...LIMITS,
      segmentBytes: 512 * 1024,
      spoolBytes: 8 * 1024 * 1024,
      batchMs: 5,
      pollMs: 20,
      requestMs: 200,
      backoffMs: 5,
      backoffMaxMs: 40,
      diskRetryMs: 5,
      drainMs: 500,
      ...options.limits,
    },
  };
  const bridge: Bridge = await startBridge(config, {
    log: (level, message, fields = {}) => lines.push({ level, message, fields }),
    ...options.parts,
  });
  let stopped: Promise<void> | null = null;
  const stop = (): Promise<void> => {
    stopped ??= bridge.stop();
    return stopped;
  };
  later(stop);
  const tracker = () => aTracker(bridge.ports.tcp);
  return { bridge, edge, folder, lines, config, stop, tracker, metrics: bridge.metrics };
}

/** A tracker's connection; `received` is what came down so far. */
export async function aTracker(port: number) {
  const socket: Socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const got: Buffer[] = [];
  let closed = false;
  socket.on("data", (bytes) => got.push(bytes));
  socket.on("error", () => {});
  for (const event of ["end", "close"]) {
    socket.on(event, () => {
      closed = true;
    });
  }
  later(() => socket.destroy());
  await new Promise((resolve) => socket.once("connect", resolve));
  return { socket, received: () => Buffer.concat(got).toString("latin1"), closed: () => closed };
}
