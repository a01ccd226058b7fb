import * as http from "node:http";
import * as https from "node:https";
import type { ReachPoint } from "./failpoint.ts";
import type { Limits } from "./limits.ts";
import type { EdgeFailure } from "./metrics.ts";

export type EdgeAnswer =
  | { ok: true; body: Uint8Array }
  | { ok: false; failure: EdgeFailure; status: number | null; retryAfterMs: number; detail: string };

/** Asks the edge to take a request body. Never throws: what goes wrong is in the answer. */
export interface Edge {
  post(body: Uint8Array): Promise<EdgeAnswer>;
  /** Ends a request that is under way, and the connection. */
  close(): void;
}

export interface EdgeOptions {
  url: URL;
  token: string;
  limits: Limits;
  now(): number;
  reach: ReachPoint;
}

const PATH = "v1/bridge/frames";

function failureOf(status: number): EdgeFailure {
  if (status === 429) return "busy";
  if (status === 401 || status === 403) return "unauthorized";
  if (status === 400 || status === 413 || status === 422) return "rejected";
  if (status === 408 || status >= 500) return "server";
  return "unexpected";
}

// Anything else (refused, no such host, a certificate that is not trusted) happens before the edge sees a request.
function brokenBy(code: string): EdgeFailure {
  if (code === "ECONNRESET" || code === "EPIPE") return "interrupted";
  return code.startsWith("HPE_") ? "answer" : "network";
}

/** @returns ms to wait, from seconds or an HTTP date; 0 when there is none */
function retryAfter(header: string | undefined, now: number): number {
  if (header === undefined) return 0;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isFinite(ms) ? Math.max(0, ms) : 0;
}

const failed = (failure: EdgeFailure, detail: string, status: number | null = null, retryAfterMs = 0): EdgeAnswer => ({
  ok: false,
  failure,
  status,
  retryAfterMs,
  detail,
});

/** One keep-alive connection to the edge, one request at a time, each with a deadline. */
export class HttpEdge implements Edge {
  private readonly options: EdgeOptions;
  private readonly target: URL;
  private readonly agent: http.Agent;
  private readonly transport: typeof http | typeof https;
  private current: http.ClientRequest | null = null;

  constructor(options: EdgeOptions) {
    this.options = options;
    const base = options.url.href.endsWith("/") ? options.url.href : `${options.url.href}/`;
    this.target = new URL(PATH, base);
    this.transport = options.url.protocol === "https:" ? https : http;
    this.agent = new this.transport.Agent({ keepAlive: true, maxSockets: 1 });
  }

  async post(body: Uint8Array): Promise<EdgeAnswer> {
    const first = await this.send(body);
    if (first !== "stale") return first;
    // The edge closed the idle connection just then and never saw the request: that is no failure.
    const second = await this.send(body);
    return second === "stale" ? failed("interrupted", "ECONNRESET") : second;
  }

  private send(body: Uint8Array): Promise<EdgeAnswer | "stale"> {
    const { limits, token, now, reach } = this.options;
    return new Promise((resolve) => {
      let status: number | null = null;
      let retryAfterMs = 0;
      let timedOut = false;
      const request = this.transport.request(this.target, {
        method: "POST",
        agent: this.agent,
        headers: {
          authorization: `Bearer ${token}`,
          "content-type": "application/octet-stream",
          "content-length": body.length,
        },
      });
      this.current = request;
      const deadline = setTimeout(() => {
        timedOut = true;
        request.destroy();
      }, limits.requestMs);
      const settle = (answer: EdgeAnswer | "stale"): void => {
        clearTimeout(deadline);
        this.current = null;
        resolve(answer);
      };
      /** The connection ended before the answer did. */
      const broken = (code: string): void => {
        if (status !== null && status !== 200) settle(failed(failureOf(status), code, status, retryAfterMs));
        else if (timedOut) settle(failed("timeout", `no whole answer in ${limits.requestMs} ms`, status));
        else if (status === null && request.reusedSocket && code === "ECONNRESET") settle("stale");
        else settle(failed(brokenBy(code), code, status));
      };
      request.on("finish", () => reach("F"));
      request.on("error", (error: NodeJS.ErrnoException) => {
        // After the head of the answer, the answer's own events decide.
        if (status === null) broken(error.code ?? "UNKNOWN");
      });
      request.on("response", (response) => {
        status = response.statusCode ?? 0;
        retryAfterMs = retryAfter(response.headers["retry-after"], now());
        const chunks: Buffer[] = [];
        let size = 0;
        response.on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size > limits.responseBytes) response.destroy();
          else if (status === 200) chunks.push(chunk);
        });
        response.on("error", () => {});
        response.on("close", () => {
          if (size > limits.responseBytes) settle(failed("answer", "answer too long", status));
          else if (!response.complete) broken("ECONNRESET");
          else if (status === 200) settle({ ok: true, body: Buffer.concat(chunks) });
          else settle(failed(failureOf(status!), `status ${status}`, status, retryAfterMs));
        });
      });
      request.end(body);
    });
  }

  close(): void {
    this.current?.destroy();
    this.agent.destroy();
  }
}
