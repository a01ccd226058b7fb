import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { encodeResponse, forEachEntry, OUTCOMES } from "../codec/envelope.ts";
import { encodeFrame } from "../codec/frame.ts";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");

/** A folder on the disk of this repository (the system's temporary folder may be memory), removed at the end. */
export function benchFolder(): { path: string; remove(): void } {
  const parent = join(ROOT, ".data");
  mkdirSync(parent, { recursive: true });
  const path = mkdtempSync(join(parent, "bench-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Dirty pages of other work would be written back in the middle of a measurement. */
export function settleDisk(): void {
  execFileSync("sync");
}

/** @throws when this process may not open enough files, with what to do about it */
export function needFiles(count: number): void {
  const line = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"));
  const allowed = Number(line?.[1] ?? 0);
  if (allowed < count)
    throw new Error(`${count} open files are needed, ${allowed} are allowed: run "ulimit -n ${count}" first`);
}

export const imeiOf = (n: number): string => String(990_000_000_000_000 + n);

/** A text report of about 160 bytes, as an invented tracker would send it. */
export function aReport(imei: string, n: number): Uint8Array {
  const content = `35,1.234567,103.987654,260101120000,A,9,20,40,90,1.0,12,${n},60,525|1|2B10|0001,0000,0018|||02DE|010A,00000001,,3,,,36,23`;
  return encodeFrame({ direction: "up", identifier: "A", imei, type: "AAA", content });
}

/** An edge that answers at once, without storing: what is measured is the bridge. */
export class FastEdge {
  frames = 0;
  requests = 0;
  /** @returns the reply to a frame, or null for none */
  reply: ((body: Uint8Array, start: number, end: number) => Uint8Array) | null = null;
  private readonly server: Server;

  constructor() {
    this.server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => response.end(this.answer(Buffer.concat(chunks))));
    });
  }

  private answer(body: Uint8Array): Uint8Array {
    const frames: { outcome: number; reply: Uint8Array | null }[] = [];
    forEachEntry(body, {
      frame: (_connection, _receivedAt, start, end) => {
        frames.push({ outcome: OUTCOMES.stored, reply: this.reply?.(body, start, end) ?? null });
      },
      claim: () => {},
      release: () => {},
    });
    this.requests += 1;
    this.frames += frames.length;
    return encodeResponse({ frames });
  }

  async listen(): Promise<string> {
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** The bridge as its own process, as it runs in production. */
export class BridgeProcess {
  readonly child: ChildProcess;
  readonly pid: number;
  port = 0;
  metricsPort = 0;

  constructor(edgeUrl: string, spoolFolder: string) {
    this.child = spawn(process.execPath, [join(ROOT, "bridge/main.ts")], {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        EDGE_URL: edgeUrl,
        BRIDGE_TOKEN: "bench",
        BRIDGE_HOST: "127.0.0.1",
        BRIDGE_PORT: "0",
        METRICS_PORT: "0",
        SPOOL_DIR: spoolFolder,
      },
    });
    this.pid = this.child.pid ?? 0;
  }

  async ready(): Promise<this> {
    const [line] = (await once(this.child.stdout!, "data")) as [Buffer];
    const [, port, metricsPort] = /tcp=(\d+).*metrics=(\d+)/.exec(line.toString()) ?? [];
    this.port = Number(port);
    this.metricsPort = Number(metricsPort);
    return this;
  }

  /** Resident memory, bytes. */
  rss(): number {
    return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${this.pid}/status`, "utf8"))?.[1]);
  }

  /** Seconds of processor time used so far, all threads. */
  cpuSeconds(): number {
    const fields = readFileSync(`/proc/${this.pid}/stat`, "utf8").split(") ")[1]!.split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  async metric(name: string): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.metricsPort}/metrics`)).text();
    return Number(
      text
        .split("\n")
        .find((line) => line.startsWith(`${name} `))
        ?.split(" ")[1],
    );
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const exit = once(this.child, "exit");
    this.child.kill("SIGTERM");
    await exit;
  }
}

/** Opens `count` connections, at most `atOnce` of them not yet connected. */
export async function openFleet(port: number, count: number, atOnce: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  const openOne = async (): Promise<void> => {
    while (sockets.length < count) {
      const socket = connect({ port, host: "127.0.0.1", noDelay: true });
      sockets.push(socket);
      await once(socket, "connect");
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, openOne));
  return sockets;
}

export const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

/** @param share 0.99 for the 99th percentile */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

/** Prints rows of equal length in columns; the first row is the head. */
export function printTable(rows: string[][]): void {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: string[]): string => `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  console.log(line(rows[0]!));
  console.log(`|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`);
  for (const row of rows.slice(1)) console.log(line(row));
}
