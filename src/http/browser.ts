import type { Context } from "hono";
import type { Client } from "../context.ts";
import { AppError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { Env } from "./route.ts";

// What is special about a caller that is a browser: cookies, and that other sites can make it send requests.

/** Every cookie that is set. `__Host-`: this host only, over TLS only, for every path (browsers take localhost for safe). */
export const SESSION_COOKIE = "__Host-session";
export const LANGUAGE_COOKIE = "__Host-language";
/** A sign-in that waits for its second step. */
export const SIGN_IN_COOKIE = "__Host-signin";

const cookie = (name: string, value: string, maxAgeS: number, more: string) =>
  `${name}=${value}; Path=/; Secure; SameSite=Lax; Max-Age=${maxAgeS}${more}`;

/** Whether browsers keep a cookie that is for TLS only: with https, and on this machine itself. */
export function keepsSession(origin: string): boolean {
  const { protocol, hostname } = new URL(origin);
  return protocol === "https:" || /^(localhost|127\.\d+\.\d+\.\d+|\[::1\]|.+\.localhost)$/.test(hostname);
}

/** Set-Cookie of a session that begins. @param expiresInMs the session's whole life */
export const sessionCookie = (value: string, expiresInMs: number = LIMITS.sessionMs) =>
  cookie(SESSION_COOKIE, value, Math.floor(expiresInMs / 1000), "; HttpOnly");

/** Set-Cookie that takes the session from the browser. */
export const noSessionCookie = () => cookie(SESSION_COOKIE, "", 0, "; HttpOnly");

export const signInCookie = (token: string) =>
  cookie(SIGN_IN_COOKIE, token, Math.floor(LIMITS.pendingMs / 1000), "; HttpOnly");
export const noSignInCookie = () => cookie(SIGN_IN_COOKIE, "", 0, "; HttpOnly");

export const languageCookie = (language: string) => cookie(LANGUAGE_COOKIE, language, 365 * 24 * 3600, "; HttpOnly");

/** The value of a cookie. Of two that differ one was planted, and nothing says which: then there is none. */
export function cookieOf(c: Context<Env>, name: string): string | undefined {
  const found = new Set<string>();
  for (const part of (c.req.header("cookie") ?? "").split(";")) {
    const text = part.trim();
    if (text.startsWith(`${name}=`) && text.length > name.length + 1) found.add(text.slice(name.length + 1));
  }
  return found.size === 1 ? [...found][0] : undefined;
}

export const sessionCookieOf = (c: Context<Env>) => cookieOf(c, SESSION_COOKIE);

/** Where the request comes from. Behind a proxy that ends TLS, PUBLIC_URL says with which scheme people come. */
export function clientOf(c: Context<Env>): Client {
  const url = new URL(c.req.url);
  const { publicUrl } = c.env.config;
  const protocol = publicUrl === undefined ? url.protocol : new URL(publicUrl).protocol;
  const origin = `${protocol}//${url.host}`;
  return {
    origin,
    // The platform sets it; src/runtime/deno.ts replaces what a client sends.
    address: c.req.header("cf-connecting-ip") ?? "-",
    userAgent: (c.req.header("user-agent") ?? "").slice(0, 400),
  };
}

/**
 * Refuses a request that another site made the browser send. Browsers say where a request comes from (Sec-Fetch-Site,
 * or Origin on every unsafe one); a program without a cookie says nothing and gains nothing.
 * @throws {AppError} forbidden
 */
export function requireSameOrigin(c: Context<Env>, client: Client, withCookie: boolean): void {
  const site = c.req.header("sec-fetch-site");
  const origin = c.req.header("origin");
  const host = new URL(client.origin).host;
  const refused =
    (site !== undefined && site !== "same-origin" && site !== "none") ||
    // "null" is what a page without a referrer sends of itself; by itself it says nothing.
    (origin === "null" && site !== "same-origin") ||
    (origin !== undefined && origin !== "null" && (!URL.canParse(origin) || new URL(origin).host !== host)) ||
    (withCookie && site === undefined && origin === undefined);
  if (refused) throw new AppError("forbidden", "This request comes from another site");
}

/** The path to go on to after signing in: one of ours, and nothing else, whatever the link said. */
export function safeNext(next: string | undefined): string {
  return next !== undefined && /^\/(?!\/)[a-z0-9/_-]{0,200}$/i.test(next) ? next : "/";
}
