import { OUTCOME_NAMES, type ReadResponse, RequestWriter, readResponse } from "../codec/envelope.ts";
import type { CommandEntry, Commands } from "./commands.ts";
import type { Edge, EdgeAnswer } from "./edge.ts";
import type { ReachPoint } from "./failpoint.ts";
import { errorCode } from "./files.ts";
import type { Limits } from "./limits.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import { FAILURES, Pace } from "./pace.ts";
import type { ParkedFrame } from "./parked.ts";
import type { Peers } from "./peers.ts";
import type { Spool, SpoolBatch } from "./spool.ts";

type EdgeRefusal = Exclude<EdgeAnswer, { ok: true }>;

export interface DeliveryOptions {
  spool: Spool;
  edge: Edge;
  peers: Peers;
  commands: Commands;
  metrics: Metrics;
  limits: Limits;
  log: Log;
  /** Unix ms, and ms of a clock that never jumps. */
  now(): number;
  elapsed(): number;
  random(): number;
  reach: ReachPoint;
  park(frame: ParkedFrame): Promise<void>;
}

// Room for all of it at once: growing by doubling would leave a megabyte of garbage per batch.
function requestBytes(batch: SpoolBatch | null, entries: readonly CommandEntry[]): number {
  const perEntry = 20;
  return 2 * perEntry + (batch?.frameBytes ?? 0) + perEntry * ((batch?.records.length ?? 0) + entries.length);
}

/**
 * Takes the spool to the edge: one reader, in order, one batch under way at a time while the next one gathers. That
 * keeps each tracker's frames in order by construction. Answers become replies and commands on the connections.
 */
export class Delivery {
  private readonly options: DeliveryOptions;
  private readonly pace: Pace;
  /** When the last request ended, on the `elapsed` clock. */
  private lastRequest = Number.NEGATIVE_INFINITY;
  /** Since when something has been gathering, 0 when nothing is; and its bytes. */
  private gatheringSince = 0;
  private gatheredBytes = 0;
  private oldestAt = 0;
  private running: Promise<void> | null = null;
  private stopping = false;
  private stopAt = Number.POSITIVE_INFINITY;
  private wakeUp: (() => void) | null = null;
  private lastLog = Number.NEGATIVE_INFINITY;

  constructor(options: DeliveryOptions) {
    this.options = options;
    this.pace = new Pace(options);
  }

  start(): void {
    this.running ??= this.run();
  }

  /** Frames reached the disk. */
  durable(bytes: number): void {
    const { limits, spool, elapsed } = this.options;
    this.gatheredBytes += bytes;
    const first = this.gatheringSince === 0;
    if (first) this.gatheringSince = elapsed();
    if (this.oldestAt === 0) this.oldestAt = this.options.now();
    if (first || spool.backlog >= limits.batchFrames || this.gatheredBytes >= limits.batchBytes) this.wakeUp?.();
  }

  /** Failures in a row; 0 while the edge answers. */
  get failing(): number {
    return this.pace.failures;
  }

  /** Receive time of the oldest frame that was not answered, Unix ms; 0 when there is none. */
  get oldest(): number {
    return this.options.spool.backlog > 0 ? this.oldestAt : 0;
  }

  private async run(): Promise<void> {
    while (!this.finished()) {
      const wait = this.waitMs();
      if (wait > 0) await this.sleep(wait);
      else await this.turn();
    }
  }

  /** While stopping, what is spooled is still delivered, as long as the edge answers and there is time. */
  private finished(): boolean {
    if (!this.stopping) return false;
    return this.pace.failures > 0 || this.options.spool.backlog <= 0 || this.options.elapsed() >= this.stopAt;
  }

  private waitMs(): number {
    const { spool, limits, commands, elapsed } = this.options;
    const now = elapsed();
    if (now < this.pace.notBefore) return this.pace.notBefore - now;
    if (spool.backlog > 0) {
      const enough = spool.backlog >= this.pace.most || this.gatheredBytes >= limits.batchBytes;
      if (enough || this.stopping || this.gatheringSince === 0) return 0;
      if (this.gatheringSince + limits.batchMs <= now) return 0;
    }
    if (commands.pending) return 0;
    const poll = this.lastRequest + limits.pollMs - now;
    return spool.backlog > 0 ? Math.min(poll, this.gatheringSince + limits.batchMs - now) : poll;
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.ceil(ms));
      this.wakeUp = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private async turn(): Promise<void> {
    const { spool, limits, commands, elapsed, metrics } = this.options;
    const { pace } = this;
    let batch: SpoolBatch | null;
    try {
      batch = await spool.peek(pace.most, limits.batchBytes);
    } catch (error) {
      metrics.add("diskErrors", errorCode(error));
      pace.waitAtLeast(limits.diskRetryMs);
      return;
    }
    if (batch !== null && spool.backlog <= batch.records.length) this.gatheringSince = 0;
    this.gatheredBytes = 0;
    if (batch !== null) this.oldestAt = batch.records[0]!.receivedAt;
    // While a bad frame is being looked for, commands stay out of the batch: nothing else may be to blame.
    const entries = pace.cautious && batch !== null ? [] : commands.take();
    const answer = await this.ask(batch, entries);
    this.lastRequest = elapsed();
    if (answer.ok) await this.succeeded(batch, entries, answer.response);
    else await this.failed(batch, entries, answer);
  }

  private async ask(
    batch: SpoolBatch | null,
    entries: readonly CommandEntry[],
  ): Promise<EdgeRefusal | { ok: true; response: ReadResponse }> {
    const { spool, edge, metrics, reach } = this.options;
    const writer = new RequestWriter(requestBytes(batch, entries));
    for (const { sequence, connection, transport, receivedAt, bytes } of batch?.records ?? []) {
      // Ids of an earlier run may belong to someone else by now.
      writer.frame(sequence < spool.firstOfThisRun ? 0 : connection, transport, receivedAt, bytes);
    }
    for (const entry of entries) {
      if (entry.kind === "claim") writer.claim(entry.commandId, entry.connection);
      else writer.release(entry.commandId);
    }
    reach("E");
    metrics.count.requests += 1;
    const answer = await edge.post(writer.finish());
    if (!answer.ok) return answer;
    reach("G");
    const broken = (detail: string): EdgeRefusal => ({
      ok: false,
      failure: "answer",
      status: 200,
      retryAfterMs: 0,
      detail,
    });
    try {
      const response = readResponse(answer.body);
      const sent = batch?.records.length ?? 0;
      if (response.frames.length === sent) return { ok: true, response };
      return broken(`answer has ${response.frames.length} outcomes for ${sent} frames`);
    } catch (error) {
      return broken((error as Error).message);
    }
  }

  private async succeeded(
    batch: SpoolBatch | null,
    entries: readonly CommandEntry[],
    response: ReadResponse,
  ): Promise<void> {
    const { spool, commands, metrics, log, reach } = this.options;
    const { failures } = this.pace;
    if (failures > 0) log("info", "edge answers again", { failures, backlog: spool.backlog });
    this.pace.succeeded();
    commands.taken(entries);
    if (batch !== null) {
      for (const [at, record] of batch.records.entries()) {
        const { outcome, reply } = response.frames[at]!;
        metrics.add("outcomes", OUTCOME_NAMES[outcome]!);
        if (record.sequence >= spool.firstOfThisRun) this.reply(record.connection, reply);
        else if (reply.length > 0) metrics.count.repliesDropped += 1;
      }
      metrics.count.framesDelivered += batch.records.length;
      reach("H");
      await spool.release(batch);
      this.oldestAt = 0;
    }
    commands.write(response.downlinks);
    commands.offered(response.offers);
  }

  private reply(connection: number, reply: Uint8Array): void {
    const { peers, metrics } = this.options;
    if (reply.length > 0) {
      if (peers.send(connection, reply)) metrics.count.repliesSent += 1;
      else metrics.count.repliesDropped += 1;
    }
    peers.answered(connection);
  }

  private async failed(batch: SpoolBatch | null, entries: readonly CommandEntry[], answer: EdgeRefusal): Promise<void> {
    const { metrics, commands } = this.options;
    const { halve, park } = FAILURES[answer.failure];
    const count = batch?.records.length ?? 0;
    metrics.add("edgeErrors", answer.failure);
    const smaller = this.pace.failed(answer.failure, count);
    this.logFailure(answer);
    // Our own entries alone were not accepted: repeating them would never end.
    if (park && count === 0) commands.taken(entries);
    if (smaller) metrics.count.requestsSplit += 1;
    if (smaller && halve === "at once") return;
    if (park && count === 1 && (await this.parkOnly(batch!, answer))) return;
    this.pace.wait(answer.retryAfterMs);
  }

  /** @returns false when it could not be put away, and so stays in the spool */
  private async parkOnly(batch: SpoolBatch, answer: EdgeRefusal): Promise<boolean> {
    const { spool, metrics, park, log } = this.options;
    // An edge that does not even take an empty request is not to be believed: all frames would end up here.
    const probe = await this.ask(null, []);
    if (!probe.ok) return false;
    // Nor one that was ill a moment ago: it has to refuse the frame again.
    const again = await this.ask(batch, []);
    if (again.ok || !FAILURES[again.failure].park) return false;
    const { bytes, receivedAt, transport, sequence } = batch.records[0]!;
    try {
      await park({ reason: "rejected", status: answer.status ?? 0, receivedAt, transport, bytes });
    } catch (error) {
      metrics.add("diskErrors", errorCode(error));
      return false;
    }
    metrics.add("parked", "rejected");
    log("error", "frame set aside: the edge does not accept it", {
      sequence,
      status: answer.status,
      detail: answer.detail,
    });
    this.pace.passed();
    await spool.release(batch);
    return true;
  }

  /** The first of a row of failures, then one line a minute. */
  private logFailure(answer: EdgeRefusal): void {
    const { log, elapsed, spool } = this.options;
    const { failures } = this.pace;
    const now = elapsed();
    if (failures > 1 && now - this.lastLog < 60_000) return;
    this.lastLog = now;
    const { failure, status, detail } = answer;
    const facts = { failure, status, detail, failures, backlog: spool.backlog };
    if (failure === "unauthorized") log("error", "edge refuses BRIDGE_TOKEN: frames are kept in the spool", facts);
    else log("warn", "edge does not take frames: they are kept in the spool", facts);
  }

  /** Ends after what is spooled was delivered, or the edge failed, or `drainMs` passed. */
  async stop(drainMs: number): Promise<void> {
    const { edge, elapsed } = this.options;
    this.stopping = true;
    this.stopAt = elapsed() + drainMs;
    const cut = setTimeout(() => edge.close(), drainMs);
    this.wakeUp?.();
    await this.running;
    clearTimeout(cut);
    edge.close();
  }
}
