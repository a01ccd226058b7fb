import { createServer, type RequestListener, type Server } from "node:http";
import { type AddressInfo, createServer as createNetServer } from "node:net";
import { afterEach, expect, test } from "vitest";
import { HttpEdge } from "../../bridge/edge.ts";
import { noFailPoint } from "../../bridge/failpoint.ts";
import { LIMITS, type Limits } from "../../bridge/limits.ts";

const open: { close(): void }[] = [];
afterEach(() => {
  for (const thing of open.splice(0)) thing.close();
});

async function aServer(answer: RequestListener): Promise<{ server: Server; url: URL }> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  open.push({
    close() {
      server.closeAllConnections();
      server.close();
    },
  });
  return { server, url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`) };
}

function anEdge(url: URL, changes: Partial<Limits> = {}): HttpEdge {
  const edge = new HttpEdge({
    url,
    token: "t0ken",
    limits: { ...LIMITS, requestMs: 300, ...changes },
    now: () => Date.UTC(2026, 0, 1),
    reach: noFailPoint,
  });
  open.push(edge);
  return edge;
}

const BODY = Buffer.from("body");

test("HttpEdge.post() sends the token and the body to /v1/bridge/frames below the address, and gives the answer", async () => {
  const seen: unknown[] = [];
  const { url } = await aServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      seen.push(request.method, request.url, request.headers.authorization, Buffer.concat(chunks).toString());
      response.end("answer");
    });
  });
  const answer = await anEdge(new URL("/base", url)).post(BODY);
  expect(answer).toMatchObject({ ok: true });
  expect(answer.ok && Buffer.from(answer.body).toString()).toBe("answer");
  expect(seen).toEqual(["POST", "/base/v1/bridge/frames", "Bearer t0ken", "body"]);
});

const STATUSES: [status: number, failure: string][] = [
  [400, "rejected"],
  [413, "rejected"],
  [422, "rejected"],
  [401, "unauthorized"],
  [403, "unauthorized"],
  [408, "server"],
  [500, "server"],
  [503, "server"],
  [429, "busy"],
  [404, "unexpected"],
  [302, "unexpected"],
  [204, "unexpected"],
];
test.each(STATUSES)("HttpEdge.post() calls status %i %s", async (status, failure) => {
  const { url } = await aServer((_request, response) => response.writeHead(status).end());
  expect(await anEdge(url).post(BODY)).toMatchObject({ ok: false, failure, status });
});

test.each([
  ["7", 7000],
  ["Thu, 01 Jan 2026 00:01:00 GMT", 60_000],
  ["Wed, 31 Dec 2025 00:00:00 GMT", 0],
  ["soon", 0],
])("HttpEdge.post() reads Retry-After %s", async (header, retryAfterMs) => {
  const { url } = await aServer((_request, response) => response.writeHead(429, { "retry-after": header }).end());
  expect(await anEdge(url).post(BODY)).toMatchObject({ failure: "busy", retryAfterMs });
});

test("HttpEdge.post() tells where an answer failed", async () => {
  const cases: [string, RequestListener][] = [
    ["interrupted", (request) => request.socket.destroy()],
    ["timeout", () => {}],
    [
      "interrupted",
      (request, response) => {
        response.writeHead(200, { "content-length": 100 }).write("half");
        setTimeout(() => request.socket.destroy(), 20);
      },
    ],
    ["timeout", (_request, response) => void response.writeHead(200, { "content-length": 100 }).write("half")],
    ["answer", (_request, response) => response.end(Buffer.alloc(5000))],
    ["answer", (request) => request.socket.end("gibberish\r\n\r\n")],
    ["server", (_request, response) => void response.writeHead(503, { "content-length": 100 }).write("half")],
  ];
  for (const [failure, answer] of cases) {
    const { url } = await aServer(answer);
    expect(await anEdge(url, { responseBytes: 1000 }).post(BODY)).toMatchObject({ ok: false, failure });
  }
});

test("HttpEdge.post() calls a refused connection and an unknown host network failures", async () => {
  const free = createNetServer();
  await new Promise<void>((resolve) => free.listen(0, "127.0.0.1", resolve));
  const { port } = free.address() as AddressInfo;
  await new Promise((resolve) => free.close(resolve));
  expect(await anEdge(new URL(`http://127.0.0.1:${port}`)).post(BODY)).toMatchObject({ failure: "network" });
  expect(await anEdge(new URL("http://edge.invalid")).post(BODY)).toMatchObject({ ok: false, failure: "network" });
});

test("HttpEdge.post() keeps one connection, and takes a new one without a failure when the edge closed it", async () => {
  let connections = 0;
  const { server, url } = await aServer((_request, response) => response.end("yes"));
  server.on("connection", () => {
    connections += 1;
  });
  const edge = anEdge(url);
  for (let n = 0; n < 3; n++) expect((await edge.post(BODY)).ok).toBe(true);
  expect(connections).toBe(1);
  server.closeIdleConnections();
  expect((await edge.post(BODY)).ok).toBe(true);
  expect(connections).toBe(2);
});

test("HttpEdge.post() sends once more when a kept connection breaks before an answer, and then calls it a failure", async () => {
  let requests = 0;
  const { url } = await aServer((request, response) => {
    requests += 1;
    if (requests === 1) response.end("yes");
    else request.socket.destroy();
  });
  const edge = anEdge(url);
  expect((await edge.post(BODY)).ok).toBe(true);
  expect(await edge.post(BODY)).toMatchObject({ ok: false, failure: "interrupted" });
  expect(requests).toBe(3);
});

test("HttpEdge.close() ends a request that is under way", async () => {
  const { url } = await aServer(() => {});
  const edge = anEdge(url, { requestMs: 60_000 });
  const answer = edge.post(BODY);
  await new Promise((resolve) => setTimeout(resolve, 20));
  edge.close();
  expect(await answer).toMatchObject({ ok: false });
});
