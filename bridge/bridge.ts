import { mkdir, realpath } from "node:fs/promises";
import { Commands } from "./commands.ts";
import type { Config } from "./config.ts";
import { Datagrams } from "./datagrams.ts";
import { Delivery } from "./delivery.ts";
import { HttpEdge } from "./edge.ts";
import { noFailPoint } from "./failpoint.ts";
import { type FileLayer, nodeFiles } from "./files.ts";
import { Intake } from "./intake.ts";
import { type Listener, listenTcp, listenTls } from "./listeners.ts";
import { lockSpool } from "./lock.ts";
import type { Log } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { Parked } from "./parked.ts";
import { Peers } from "./peers.ts";
import { Spool } from "./spool.ts";
import { Status } from "./status.ts";
import { Streams } from "./streams.ts";

export interface Bridge {
  ports: { tcp: number; udp: number; metrics: number; tls: number | null };
  metrics: Metrics;
  spool: Spool;
  streams: Streams;
  /** Takes no more, puts what was read on the disk, delivers what the edge still takes in `limits.drainMs`, and closes. */
  stop(): Promise<void>;
}

/** What a test may replace. */
export interface BridgeParts {
  log: Log;
  files?: FileLayer;
  now?: () => number;
  random?: () => number;
}

/** Tries for one port number that is free for TCP and UDP both, when any will do. */
const PORT_TRIES = 20;
const PARKED_CHECK_MS = 60 * 60 * 1000;

/**
 * Starts a bridge: spool, delivery, listeners and status page.
 * @throws when a port, the spool folder or the certificate cannot be used; everything is closed again
 */
export async function startBridge(config: Config, parts: BridgeParts): Promise<Bridge> {
  const { limits } = config;
  const { log, files = nodeFiles, now = Date.now, random = Math.random } = parts;
  const reach = config.reach ?? noFailPoint;
  let stopping = false;
  await mkdir(config.spoolFolder, { recursive: true, mode: 0o700 });
  const folder = await realpath(config.spoolFolder);
  const undo: (() => void | Promise<void>)[] = [await lockSpool(folder)];
  try {
    const metrics = new Metrics();
    const peers = new Peers(limits.imeisPerConnection);
    const parked = new Parked(folder, limits, now);
    const spool = await Spool.open({
      folder,
      files,
      limits,
      now,
      reach,
      events: {
        durable(frames, bytes, waitedMs) {
          metrics.count.framesSpooled += frames;
          metrics.count.bytesSpooled += bytes;
          metrics.synced(waitedMs);
          delivery.durable(bytes);
        },
        pressure(on) {
          if (stopping) return;
          if (on) streams.pause();
          else streams.resume();
          log(on ? "warn" : "info", on ? "sockets are not read: the spool is held" : "sockets are read again", {
            held: spool.held,
            unsyncedBytes: spool.unsyncedBytes,
          });
        },
        damaged(bytes) {
          metrics.add("parked", "damaged");
          log("error", "bytes of the spool are damaged and were set aside", { bytes: bytes.length });
          parked.add({ reason: "damaged", bytes: Buffer.from(bytes) }).catch(() => metrics.add("diskErrors", "PARKED"));
        },
        diskError(code) {
          metrics.add("diskErrors", code);
          log("error", "the disk refuses the spool", { code });
        },
        deleted() {
          metrics.count.segmentsDeleted += 1;
        },
      },
    });
    undo.push(() => spool.close());
    const intake = new Intake({ limits, metrics, peers, spool, now, reach });
    const streams = new Streams(intake);
    const datagrams = new Datagrams(intake);
    const commands = new Commands({ peers, metrics, limits, log, now });
    const edge = new HttpEdge({ url: config.edgeUrl, token: config.token, limits, now, reach });
    const delivery = new Delivery({
      spool,
      edge,
      peers,
      commands,
      metrics,
      limits,
      log,
      now,
      elapsed: () => performance.now(),
      random,
      reach,
      park: (frame) => parked.add(frame),
    });
    undo.push(() => edge.close());
    const status = new Status(metrics, () => ({
      ok: spool.held === null,
      spool: spool.held ?? "writing",
      edge: delivery.failing > 0 ? "failing" : "answering",
    }));
    undo.push(() => status.close());
    const gauges: [name: string, help: string, value: () => number][] = [
      ["bridge_connections", "TCP and TLS connections held", () => streams.size],
      ["bridge_udp_peers", "UDP addresses remembered", () => datagrams.size],
      ["bridge_devices", "Trackers that a command could reach", () => peers.devices],
      ["bridge_spool_backlog_frames", "Frames on disk that the edge has not answered", () => spool.backlog],
      ["bridge_spool_unsynced_bytes", "Bytes that wait for the disk", () => spool.unsyncedBytes],
      ["bridge_spool_file_bytes", "Bytes of all segment files", () => spool.fileBytes],
      ["bridge_spool_segments", "Segment files", () => spool.segmentCount],
      ["bridge_spool_held", "1 while the spool takes nothing in", () => (spool.held === null ? 0 : 1)],
      [
        "bridge_spool_oldest_age_seconds",
        "Age of the oldest frame that the edge has not answered",
        () => (delivery.oldest === 0 ? 0 : Math.max(0, now() - delivery.oldest) / 1000),
      ],
      ["bridge_edge_failures_in_a_row", "0 while the edge answers", () => delivery.failing],
      ["process_resident_memory_bytes", "Resident memory", () => process.memoryUsage.rss()],
    ];
    for (const [name, help, value] of gauges) metrics.gauge({ name, help, value });

    undo.push(() => datagrams.close());
    const tcp = await listenBoth(config, streams, datagrams);
    undo.push(() => tcp.close());
    const secure = config.tls === null ? null : await listenTls(config.host, config.tls, limits, streams);
    undo.push(() => secure?.close());
    const metricsPort = await status.listen(config.metricsPort);
    const sweep = setInterval(() => {
      streams.sweep();
      datagrams.sweep();
    }, limits.sweepMs);
    const tidy = setInterval(() => parked.turnOver().catch(() => {}), PARKED_CHECK_MS);
    delivery.start();

    return {
      ports: { tcp: tcp.port, udp: tcp.port, metrics: metricsPort, tls: secure?.port ?? null },
      metrics,
      spool,
      streams,
      async stop() {
        stopping = true;
        clearInterval(sweep);
        clearInterval(tidy);
        tcp.close();
        secure?.close();
        streams.pause();
        const late = AbortSignal.timeout(limits.drainMs);
        await Promise.race([spool.flush(), new Promise((resolve) => late.addEventListener("abort", resolve))]);
        await delivery.stop(limits.drainMs);
        streams.closeAll();
        await unwind(undo);
      },
    };
  } catch (error) {
    await unwind(undo);
    throw error;
  }
}

/** TCP and UDP on one port number. */
async function listenBoth(config: Config, streams: Streams, datagrams: Datagrams): Promise<Listener> {
  for (let tries = 1; ; tries++) {
    const tcp = await listenTcp(config.host, config.port, config.limits, streams);
    try {
      await datagrams.listen(tcp.port, config.host);
      return tcp;
    } catch (error) {
      tcp.close();
      if (config.port !== 0 || tries === PORT_TRIES) throw error;
    }
  }
}

async function unwind(undo: (() => void | Promise<void>)[]): Promise<void> {
  for (const step of undo.reverse()) await step();
}
