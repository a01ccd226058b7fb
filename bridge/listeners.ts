import * as net from "node:net";
import * as tls from "node:tls";
import type { TlsConfig } from "./config.ts";
import type { Limits } from "./limits.ts";
import type { Streams } from "./streams.ts";

/** A listening socket that hands its connections to `Streams`. */
export interface Listener {
  port: number;
  /** Accepts no more; connections that are open stay. */
  close(): void;
}

// Half-open is allowed because a tracker may close its side at once and still deserves its reply.
const options = (limits: Limits) => ({
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: limits.keepAliveMs,
});

/** @throws the system's error when the port cannot be had */
export function listenTcp(host: string, port: number, limits: Limits, streams: Streams): Promise<Listener> {
  return listen(
    net.createServer(options(limits), (socket) => streams.attach(socket)),
    host,
    port,
    limits,
    streams,
  );
}

/** @throws when the certificate cannot be used or the port cannot be had */
export function listenTls(host: string, config: TlsConfig, limits: Limits, streams: Streams): Promise<Listener> {
  const { cert, key, port } = config;
  const server = tls.createServer({ ...options(limits), cert, key, handshakeTimeout: limits.handshakeMs });
  server.on("secureConnection", (socket) => streams.attach(socket));
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  // Those in the middle of a handshake are not in `streams` yet.
  server.maxConnections = limits.connections;
  return listen(server, host, port, limits, streams);
}

function listen(server: net.Server, host: string, port: number, limits: Limits, streams: Streams): Promise<Listener> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, backlog: limits.backlog }, () => {
      server.off("error", reject);
      server.on("error", () => streams.acceptFailed());
      resolve({ port: (server.address() as net.AddressInfo).port, close: () => server.close() });
    });
  });
}
