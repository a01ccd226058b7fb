import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Mail } from "../src/context.ts";
import { makePrivateFolder, writePrivateFile } from "./secrets.ts";

const LIMITS = {
  mailBytes: 256 * 1024,
  /** Mails that are kept, the newest. */
  kept: 500,
  /** Mails on the page. */
  shown: 100,
};

export interface Outbox {
  /** The page that shows the mails. */
  url: string;
  /** Where the app posts a mail as JSON, and the token that it needs. */
  postUrl: string;
  token: string;
  close(): Promise<void>;
}

const PARTS = ["from", "to", "subject", "text", "html"] as const satisfies readonly (keyof Mail)[];

const STYLE = `:root{color-scheme:light dark}body{max-width:44rem;margin:0 auto;padding:1rem;font:1rem/1.5 system-ui,sans-serif;
background:light-dark(#fbfaf7,#10151d);color:light-dark(#1c2321,#e6e9e8)}article{border-top:1px solid #888;padding:1rem 0}
h2{margin:0;font-size:1.2rem}p{margin:.25rem 0}pre{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit}
a{color:light-dark(#0b5d57,#6fd0c5)}`;
const POLICY = `default-src 'none'; style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

/**
 * Where mails go on this machine when nobody delivers them: a folder, and a page that shows it. Listens on 127.0.0.1
 * only; a page elsewhere that made its own name point here is refused.
 * @param dir folder of the mails, made when it is not there
 * @param deliver hands a mail on in place of keeping it
 */
export async function startOutbox(dir: string, deliver?: (mail: Mail) => Promise<void>): Promise<Outbox> {
  if (deliver === undefined) makePrivateFolder(dir);
  const token = randomBytes(32).toString("base64url");
  let port = 0;
  const server = createServer((request, response) => {
    respond(request).then(
      ({ status, body = "", type = "text/plain" }) => answer(response, status, type, body),
      // The reason may repeat an address.
      () => answer(response, 500, "text/plain", "The mail was not taken\n"),
    );
  });

  async function respond(request: IncomingMessage): Promise<{ status: number; body?: string; type?: string }> {
    const host = request.headers.host ?? "";
    if (host !== `127.0.0.1:${port}` && host !== `localhost:${port}`) return { status: 421, body: "Not this host\n" };
    if (request.url === "/mails" && request.method === "POST") {
      if (!same(request.headers.authorization ?? "", `Bearer ${token}`)) return { status: 401 };
      const mail = parseMail(await readBody(request));
      if (mail === null) return { status: 400, body: "This is not a mail\n" };
      if (deliver !== undefined) await deliver(mail);
      else keep(dir, mail);
      return { status: 204 };
    }
    if (request.url === "/" && request.method === "GET" && deliver === undefined) {
      return { status: 200, type: "text/html", body: page(newest(dir, LIMITS.shown)) };
    }
    return { status: 404, body: "Nothing is here\n" };
  }

  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    postUrl: `${url}/mails`,
    token,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, {
    "content-type": `${type}; charset=utf-8`,
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
  });
  response.end(body);
}

function same(given: string, expected: string): boolean {
  const [a, b] = [given, expected].map((text) => createHash("sha256").update(text).digest());
  return timingSafeEqual(a!, b!);
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > LIMITS.mailBytes) throw new Error("The mail is too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseMail(text: string): Mail | null {
  try {
    const mail = JSON.parse(text) as Partial<Mail>;
    return PARTS.every((part) => typeof mail[part] === "string") ? (mail as Mail) : null;
  } catch {
    return null;
  }
}

const NAME = /^(\d{15})-[0-9a-f]{8}\.json$/;
const names = (dir: string) =>
  readdirSync(dir)
    .filter((name) => NAME.test(name))
    .sort()
    .reverse();

let last = 0;

function keep(dir: string, mail: Mail): void {
  // Of two in a millisecond the later one is newer too.
  last = Math.max(Date.now(), last + 1);
  const name = `${String(last).padStart(15, "0")}-${randomBytes(4).toString("hex")}.json`;
  const { from, to, subject, text, html } = mail;
  writePrivateFile(join(dir, name), `${JSON.stringify({ from, to, subject, text, html }, null, 2)}\n`);
  for (const old of names(dir).slice(LIMITS.kept)) rmSync(join(dir, old), { force: true });
}

/** The newest mails first; a file that is none is left out. */
function newest(dir: string, count: number): { mail: Mail; time: number }[] {
  return names(dir)
    .slice(0, count)
    .flatMap((name) => {
      try {
        const mail = parseMail(readFileSync(join(dir, name), "utf8"));
        return mail === null ? [] : [{ mail, time: Number(NAME.exec(name)?.[1]) }];
      } catch {
        return [];
      }
    });
}

const escapeHtml = (text: string) => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** The text with its web addresses as links. */
const linked = (text: string) =>
  text
    .split(/(https?:\/\/[^\s<>"']+)/)
    .map((part, n) => {
      const shown = escapeHtml(part);
      return n % 2 === 1 ? `<a href="${shown}" rel="noreferrer">${shown}</a>` : shown;
    })
    .join("");

function page(mails: readonly { mail: Mail; time: number }[]): string {
  const articles = mails.map(({ mail: { from, to, subject, text }, time }) => {
    const at = new Date(time).toISOString();
    return `<article><h2>${escapeHtml(subject)}</h2>
<p>To ${escapeHtml(to)}, from ${escapeHtml(from)}, <time datetime="${at}">${at.replace("T", " ").slice(0, 19)} UTC</time></p>
<pre>${linked(text)}</pre></article>`;
  });
  const empty = "<p>No mail yet. What the platform sends is kept here and goes nowhere else.</p>";
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>Mails</title><style>${STYLE}</style></head>
<body><main><h1>Mails</h1>
${articles.join("\n") || empty}
</main></body></html>
`;
}
