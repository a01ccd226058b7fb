import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Metrics } from "./metrics.ts";

/** What /healthz says; `ok` is false while no frame can be taken in. */
export interface Health {
  ok: boolean;
  /** `writing`, or why the disk refuses frames. */
  spool: string;
  /** `answering`, or `failing` while frames are only spooled. */
  edge: string;
}

/** GET /healthz and GET /metrics, for this machine only. */
export class Status {
  private readonly server: Server;

  constructor(metrics: Metrics, health: () => Health) {
    this.server = createServer((request, response) => {
      const send = (status: number, type: string, body: string): void => {
        response.writeHead(status, { "content-type": type, "cache-control": "no-store" }).end(body);
      };
      if (request.method !== "GET" && request.method !== "HEAD") return send(405, "text/plain", "GET only\n");
      if (request.url === "/metrics") return send(200, "text/plain; version=0.0.4; charset=utf-8", metrics.text());
      if (request.url !== "/healthz") return send(404, "text/plain", "There is /healthz and /metrics\n");
      const state = health();
      return send(state.ok ? 200 : 503, "application/json", `${JSON.stringify(state)}\n`);
    });
  }

  /** @returns the port */
  listen(port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.server.once("error", reject);
      this.server.listen(port, "127.0.0.1", () => resolve((this.server.address() as AddressInfo).port));
    });
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}
