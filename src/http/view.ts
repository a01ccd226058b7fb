import type { Context } from "hono";
import { brandFor } from "../brands.ts";
import type { Client, Principal } from "../context.ts";
import { languageFor } from "../text/index.ts";
import type { PageView } from "../web/frame.ts";
import { assetPaths } from "./assets.ts";
import { cookieOf, keepsSession, LANGUAGE_COOKIE } from "./browser.ts";
import type { Env } from "./route.ts";

/** How a page is shown: in whose language, under which brand, with whose navigation. */
export async function viewOf(c: Context<Env>, client: Client, principal: Principal | null): Promise<PageView> {
  const person = principal !== null && (principal.kind === "user" || principal.kind === "staff") ? principal : null;
  const url = new URL(c.req.url);
  // The cookie is what was chosen last in this browser; mails and new browsers go by what is stored.
  const asked = url.searchParams.get("lang") ?? cookieOf(c, LANGUAGE_COOKIE) ?? person?.language;
  const { language, text } = languageFor(asked, c.req.header("accept-language") ?? "");
  return {
    language,
    t: text,
    brand: await brandFor(c.env, new URL(client.origin).hostname),
    person,
    timeZone: person?.timeZone ?? "UTC",
    path: url.pathname,
    now: c.env.now(),
    asset: await assetPaths(c.env),
    keepsSession: keepsSession(client.origin),
  };
}
