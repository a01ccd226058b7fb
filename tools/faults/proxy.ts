import { Buffer } from "node:buffer";
import { Agent, createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { LIMITS } from "./limits.ts";

export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Uint8Array;
}

/** One request on its way through the proxy, in the hands of a fault. */
export interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly body: Buffer;
  /** When the whole request had arrived, `performance.now()`. */
  readonly at: number;
  /** Whether the sender is still there. */
  readonly alive: boolean;
  /** Sends the request on; throws when the other side is gone. */
  forward(): Promise<Answer>;
  answer(answer: Answer): void;
  /** Sends the head and half of the body, then cuts the connection. */
  answerHalf(answer: Answer): void;
  /** Cuts the connection without a word. */
  drop(): void;
  /** Notes in the log what was done; the name of the fault. */
  note(what: string): void;
}

export type Fault = (exchange: Exchange) => Promise<void>;

export interface LogLine {
  at: number;
  path: string;
  bytes: number;
  fault: string;
}

/** Passes a request on as it is; a dead upstream looks dead to the sender, too. */
export const pass: Fault = async (exchange) => {
  try {
    exchange.answer(await exchange.forward());
  } catch {
    exchange.drop();
  }
};

function readAll(stream: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => resolve(Buffer.concat(chunks)));
    stream.on("error", reject);
    stream.on("close", () => reject(new Error("Cannot read request: the connection closed")));
  });
}

/** An HTTP proxy on loopback that does to each request what its current fault says. */
export class FaultProxy {
  fault: Fault = pass;
  readonly log: LogLine[] = [];
  inFlight = 0;
  readonly #upstream: URL;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });
  readonly #server: Server;

  constructor(upstream: string) {
    this.#upstream = new URL(upstream);
    this.#server = createServer({ keepAliveTimeout: 60_000 }, (incoming, outgoing) => {
      this.#handle(incoming, outgoing).catch(() => outgoing.destroy());
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Cuts every connection that is open now. */
  cut(): void {
    this.#server.closeAllConnections();
  }

  async close(): Promise<void> {
    this.#agent.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const body = await readAll(incoming);
    const line: LogLine = { at: performance.now(), path: incoming.url!, bytes: body.length, fault: "" };
    this.log.push(line);
    this.inFlight++;
    const head = (answer: Answer): void => {
      outgoing.writeHead(answer.status, { ...answer.headers, "content-length": String(answer.body.length) });
    };
    const exchange: Exchange = {
      method: incoming.method!,
      path: incoming.url!,
      body,
      at: line.at,
      get alive() {
        return !outgoing.destroyed;
      },
      forward: () => this.#forward(incoming, body),
      answer: (answer) => {
        if (outgoing.destroyed) return;
        head(answer);
        outgoing.end(answer.body);
      },
      answerHalf: (answer) => {
        if (outgoing.destroyed) return;
        head(answer);
        outgoing.write(answer.body.subarray(0, answer.body.length >> 1), () => outgoing.destroy());
      },
      drop: () => {
        outgoing.destroy();
        incoming.socket.destroy();
      },
      note: (what) => {
        line.fault = what;
      },
    };
    try {
      await this.fault(exchange);
    } finally {
      this.inFlight--;
    }
  }

  #forward(incoming: IncomingMessage, body: Buffer): Promise<Answer> {
    const headers: Record<string, string | string[] | undefined> = { ...incoming.headers };
    for (const name of ["connection", "transfer-encoding", "keep-alive"]) delete headers[name];
    headers["content-length"] = String(body.length);
    headers.host = this.#upstream.host;
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          agent: this.#agent,
          host: this.#upstream.hostname,
          port: this.#upstream.port,
          method: incoming.method,
          path: incoming.url,
          headers: headers as Record<string, string>,
          timeout: LIMITS.requestTimeoutMs,
        },
        (response) => {
          readAll(response).then((answer) => {
            const kept: Record<string, string> = {};
            for (const name of ["content-type", "retry-after", "content-encoding"]) {
              const value = response.headers[name];
              if (typeof value === "string") kept[name] = value;
            }
            resolve({ status: response.statusCode!, headers: kept, body: answer });
          }, reject);
        },
      );
      outgoing.on("timeout", () => outgoing.destroy(new Error("Cannot forward: no answer in time")));
      outgoing.on("error", reject);
      outgoing.end(body);
    });
  }
}
