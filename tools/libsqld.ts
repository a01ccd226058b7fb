import { createHash, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { errorOf, HranaError } from "./libsqld/hrana.ts";
import { Streams } from "./libsqld/streams.ts";

const MAX_BODY_BYTES = 32 * 1024 * 1024;

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new HranaError("BODY_TOO_LARGE", `More than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function send(response: ServerResponse, status: number, body: string): void {
  // The body of a refused request is not read to its end: the connection cannot be used again.
  if (status === 413) response.setHeader("connection", "close");
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  response.end(body);
}

/**
 * The `libsql` engine on one file behind Hrana 2 over HTTP (`POST /v2/pipeline`, JSON), on loopback: what
 * `@libsql/client/web` speaks to Turso or libsql-server it speaks to this too.
 * @param options `port` 0 takes any free one; `token` is the bearer token that every pipeline must carry
 * Source: libsql/docs/HTTP_V2_SPEC.md and HRANA_3_SPEC.md of tursodatabase/libsql.
 */
export async function startLibsqld(options: { path: string; port: number; token: string }) {
  const streams = new Streams(options.path);
  const digest = (text: string) => createHash("sha256").update(text).digest();
  const expected = digest(`Bearer ${options.token}`);
  const server = createServer(async (request, response) => {
    try {
      if (request.method === "GET" && (request.url === "/v2" || request.url === "/health")) {
        return send(response, 200, "{}");
      }
      if (!timingSafeEqual(digest(request.headers.authorization ?? ""), expected)) {
        return send(response, 401, '{"message":"The bearer token is missing or wrong","code":"AUTH_JWT_INVALID"}');
      }
      if (request.method !== "POST" || request.url !== "/v2/pipeline") {
        return send(response, 404, '{"message":"No such endpoint","code":"NOT_FOUND"}');
      }
      let body: Parameters<Streams["pipeline"]>[0];
      try {
        body = JSON.parse(await readBody(request)) ?? {};
      } catch (error) {
        if (error instanceof HranaError) throw error;
        throw new HranaError("PROTO_ERROR", "The body is not JSON");
      }
      send(response, 200, await streams.pipeline(body, () => response.destroyed));
    } catch (error) {
      const answer = errorOf(error);
      send(
        response,
        answer.code === "BODY_TOO_LARGE" ? 413 : answer.code === "INTERNAL_ERROR" ? 500 : 400,
        JSON.stringify(answer),
      );
    }
  });
  // The client decides when an idle connection ends: closing it here would race with its next request.
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, "127.0.0.1", 1024, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    async close(): Promise<void> {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
      streams.close();
    },
  };
}

if (import.meta.main) {
  const { LIBSQLD_PATH: path = "", LIBSQLD_PORT: port = "0", LIBSQLD_TOKEN: token = "" } = process.env;
  if (path === "" || token === "") throw new Error("Cannot start libsqld: LIBSQLD_PATH and LIBSQLD_TOKEN must be set");
  const server = await startLibsqld({ path, port: Number(port), token });
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => void server.close().then(() => process.exit(0)));
  }
  console.log(`libsqld listening ${server.port}`);
}
