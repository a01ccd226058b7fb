import { createSocket } from "node:dgram";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { decodePositions } from "../../codec/decode.ts";
import { type FrameBounds, FrameReader, locateFrame, newBounds, parseFrame } from "../../codec/frame.ts";
import type { PositionJson } from "../../codec/position.ts";
import { replyFor } from "../../codec/replies.ts";

/** A position as the API shows it. */
export type StoredPosition = PositionJson & { id: number; receivedAt: string };

/**
 * The least that a simulator needs of a platform: takes frames over TCP and UDP, stores each record once, confirms it,
 * and serves devices and positions over HTTP. All in this process and in memory.
 */
export interface FakePlatform {
  readonly port: number;
  readonly url: string;
  readonly key: string;
  /** Every right frame as it came, in order. */
  readonly frames: Uint8Array[];
  /** By IMEI. */
  readonly positions: Map<string, StoredPosition[]>;
  /** Records that had been stored before. */
  duplicates: number;
  /** Frames that were refused. */
  refused: number;
  /** Chunks that came over TCP. */
  chunks: number;
  /** Answers a frame or keeps silent. */
  confirms: boolean;
  /** Sends bytes to the trackers that are connected over TCP. */
  send(imei: string, frame: Uint8Array): void;
  /** Ends every TCP connection. */
  hangUp(): void;
  close(): Promise<void>;
}

export async function startFakePlatform(model = "T366"): Promise<FakePlatform> {
  const sockets = new Map<string, Socket>();
  const all = new Set<Socket>();
  const seen = new Set<string>();
  const ids = new Map<string, number>();

  const take = (buf: Uint8Array, bounds: FrameBounds): { imei: string; reply: Uint8Array | null } => {
    const frame = parseFrame(buf.slice(bounds.start, bounds.end));
    platform.frames.push(frame.bytes);
    const stored = platform.positions.get(frame.imei) ?? [];
    platform.positions.set(frame.imei, stored);
    const positions = decodePositions(frame, { model });
    for (const position of positions) {
      const json = position.toJSON();
      const key = `${frame.imei} ${JSON.stringify(json)}`;
      if (seen.has(key)) platform.duplicates++;
      else stored.push({ id: seen.size, receivedAt: new Date().toISOString(), ...json });
      seen.add(key);
    }
    return { imei: frame.imei, reply: platform.confirms ? replyFor(buf, bounds, positions.length) : null };
  };

  const tcp = createServer((socket) => {
    const reader = new FrameReader({ onReject: () => platform.refused++ });
    all.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => all.delete(socket));
    socket.on("data", (chunk) => {
      platform.chunks++;
      reader.scan(chunk, (buf, bounds) => {
        const { imei, reply } = take(buf, bounds);
        sockets.set(imei, socket);
        if (reply !== null) socket.write(reply);
      });
    });
  });
  const udp = createSocket("udp4");
  udp.on("message", (datagram, from) => {
    const bounds = newBounds();
    if (locateFrame(datagram, 0, datagram.length, bounds) !== 0) {
      platform.refused++;
      return;
    }
    const { reply } = take(datagram, bounds);
    if (reply !== null) udp.send(reply, from.port, from.address);
  });

  const http = createHttpServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "", "http://localhost");
    const say = (status: number, body: unknown) => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    };
    const page = (rows: readonly unknown[]) => {
      const from = Number(searchParams.get("cursor") ?? 0);
      // Small pages, so that cursors are used.
      const to = from + Math.min(7, Number(searchParams.get("limit")));
      say(200, { data: rows.slice(from, to), nextCursor: to < rows.length ? String(to) : null });
    };
    if (request.headers.authorization !== `Bearer ${platform.key}`) say(401, { detail: "No such key" });
    else if (request.method === "POST") {
      request.on("data", (body) => ids.set(JSON.parse(body).imei, ids.size + 1));
      request.on("end", () => say(201, { id: ids.size }));
    } else if (pathname === "/v1/devices") page([...ids].map(([imei, id]) => ({ id, imei })));
    else {
      const id = Number(pathname.split("/")[3]);
      const imei = [...ids].find(([, other]) => other === id)?.[0] ?? "";
      const [from, to] = ["from", "to"].map((name) => searchParams.get(name) ?? "");
      page((platform.positions.get(imei) ?? []).filter(({ fixTime = "" }) => fixTime >= from && fixTime < to));
    }
  });

  await new Promise<void>((resolve) => tcp.listen(0, "127.0.0.1", resolve));
  const { port } = tcp.address() as AddressInfo;
  await new Promise<void>((resolve) => udp.bind(port, "127.0.0.1", resolve));
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));

  const platform: FakePlatform = {
    port,
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    key: "a-key",
    frames: [],
    positions: new Map(),
    duplicates: 0,
    refused: 0,
    chunks: 0,
    confirms: true,
    send: (imei, frame) => sockets.get(imei)?.write(frame),
    hangUp: () => {
      for (const socket of all) socket.destroy();
    },
    close: async () => {
      for (const socket of all) socket.destroy();
      http.closeAllConnections();
      udp.close();
      await Promise.all([tcp, http].map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
  return platform;
}
