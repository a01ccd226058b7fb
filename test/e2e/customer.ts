import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type { Platform } from "../../tools/platform.ts";

/** Asks until something is so. */
export async function until(what: string, done: () => boolean | Promise<boolean>, ms = 60_000): Promise<void> {
  for (const deadline = Date.now() + ms; !(await done()); await wait(100)) {
    if (Date.now() > deadline) throw new Error(`Waited in vain until ${what}`);
  }
}

/** Somebody who is signed in, as their browser has it. */
export interface Customer {
  /** Asks for something; an answer that is no success is an error, unless its status is expected. */
  send(method: string, path: string, body?: object, expected?: number): Promise<Response>;
  read(path: string): Promise<never>;
}

/** What a browser with a session asks. @param cookies of the answer that signed in */
export function customerOf({ url }: Pick<Platform, "url">, signedIn: Response): Customer {
  const cookie = signedIn.headers.getSetCookie()[0]?.split(";")[0] ?? "";
  const send: Customer["send"] = async (method, path, body, expected) => {
    const response = await fetch(url + path, {
      method,
      headers: { "content-type": "application/json", origin: url, cookie },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    if (expected === undefined ? response.ok : response.status === expected) return response;
    throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  };
  return { send, read: async (path) => (await send("GET", path)).json() as Promise<never> };
}

const post = (url: string, body: object) =>
  fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

/** Somebody signs up, takes the link out of the mail, and confirms. */
export async function signUp(
  platform: Platform,
  { email, name, mobile, password }: { email: string; name: string; mobile: string; password: string },
): Promise<Customer> {
  const asked = await post(`${platform.url}/v1/signups`, { email, name, mobile });
  if (asked.status !== 202) throw new Error(`Cannot sign up: ${asked.status} ${await asked.text()}`);
  const outbox = join(platform.dataDir, "outbox");
  const mailed = () =>
    readdirSync(outbox)
      .map((name) => readFileSync(join(outbox, name), "utf8"))
      .filter((mail) => mail.includes(`"to": "${email.toLowerCase()}"`))
      .flatMap((mail) => /\/confirm\/([\w-]+)/.exec(mail)?.[1] ?? []);
  await until("a mail has come", () => mailed().length > 0);
  const { data } = (await (await fetch(`${platform.url}/v1/statements`)).json()) as { data: Record<string, unknown>[] };
  const accept = data
    .filter(({ language }) => language === "en")
    .map(({ kind, version, sha256, language }) => ({ kind, version, sha256, language }));
  const joined = await post(`${platform.url}/v1/signups/confirm`, { token: mailed()[0], password, accept });
  if (!joined.ok) throw new Error(`Cannot confirm: ${joined.status} ${await joined.text()}`);
  return customerOf(platform, joined);
}
