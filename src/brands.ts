import { requireProof } from "./access.ts";
import { record } from "./audit.ts";
import type { Base, Config, Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { sha256Of } from "./publishing.ts";
import type { BrandHead, BrandTextKind, BrandTextRow } from "./store/brands.ts";
import * as store from "./store/brands.ts";

export type { BrandHead, BrandTextKind, BrandTextRow } from "./store/brands.ts";

/** What a hostname shows: a reseller's name and colours, and the reseller's own policy and terms. */
export interface Brand {
  /** null: the platform itself */
  id: number | null;
  name: string;
  /** #rrggbb */
  accent: string | null;
  hasLogo: boolean;
}

/** Where a brand's own policy or terms are read. */
export interface BrandLink {
  kind: BrandTextKind;
  href: string;
  language: string;
}

export const PLATFORM_BRAND: Brand = { id: null, name: "Ephemeris", accent: null, hasLogo: false };

// What an isolate remembers of hostnames; that there is no brand, too, as most requests come for none. A forged Host
// header makes an entry as well, so there is a bound. By configuration: one per platform, and one per test.
const known = new WeakMap<Config, Map<string, { brand: Brand; until: number }>>();

/** The brand of a hostname; the platform's own where there is none. A change shows within `brandMs`, here at once. */
export async function brandFor(base: Base, hostname: string): Promise<Brand> {
  const now = base.now();
  const entries = known.get(base.config) ?? new Map<string, { brand: Brand; until: number }>();
  known.set(base.config, entries);
  const entry = entries.get(hostname);
  if (entry !== undefined && entry.until > now && entry.until - now <= LIMITS.brandMs) return entry.brand;
  const row = hostname.length > 253 ? null : await store.brandByHostname(base.db, hostname.toLowerCase());
  const brand: Brand =
    row === null ? PLATFORM_BRAND : { id: row.id, name: row.name, accent: row.accent, hasLogo: row.logoType !== null };
  if (entries.size >= LIMITS.brandEntries) entries.clear();
  entries.set(hostname, { brand, until: now + LIMITS.brandMs });
  return brand;
}

const forget = (base: Base) => known.get(base.config)?.clear();

/** Of each kind the text in this language, else in English, else in whichever there is. */
async function textsIn(base: Base, brandId: number | null, language: string): Promise<BrandTextRow[]> {
  if (brandId === null) return [];
  const rows = await store.textsOf(base.db, [brandId]);
  return (["privacy", "terms"] as const).flatMap((kind) => {
    const own = rows.filter((row) => row.kind === kind);
    return own.find((row) => row.language === language) ?? own.find((row) => row.language === "en") ?? own[0] ?? [];
  });
}

/** The links to a brand's own policy and terms that stand beside the platform's; none for what is not filled. */
export async function brandTextsFor(base: Base, brandId: number | null, language: string): Promise<BrandLink[]> {
  const rows = await textsIn(base, brandId, language);
  return rows.map((row) => ({ kind: row.kind, href: row.url ?? `/brand/${row.kind}`, language: row.language }));
}

/** Hashes of what stood beside the platform's texts, as JSON by kind, for the record of an acceptance. */
export async function brandTextHashes(base: Base, brandId: number | null, language: string): Promise<string | null> {
  const rows = await textsIn(base, brandId, language);
  return rows.length === 0 ? null : JSON.stringify(Object.fromEntries(rows.map((row) => [row.kind, row.sha256])));
}

/** A brand's own text as it is served on the brand's hostname. @throws {AppError} not_found */
export async function brandText(
  base: Base,
  brandId: number | null,
  kind: BrandTextKind,
  language: string,
): Promise<BrandTextRow & { body: string }> {
  const row = (await textsIn(base, brandId, language)).find((text) => text.kind === kind);
  if (row === undefined || row.body === null) throw new AppError("not_found", "No such text");
  return { ...row, body: row.body };
}

/** @throws {AppError} not_found */
export async function brandLogo(base: Base, brandId: number | null): Promise<{ bytes: Uint8Array; type: string }> {
  const row = brandId === null ? null : await store.logoOf(base.db, brandId);
  if (row === null || row.logo === null || row.logoType === null) throw new AppError("not_found", "No such logo");
  return { bytes: row.logo, type: row.logoType };
}

/** @throws {AppError} not_found */
export async function brandById(ctx: Ctx, id: number): Promise<BrandHead> {
  const brand = await store.brandById(ctx.db, id);
  if (brand === null) throw new AppError("not_found", "No such brand");
  return brand;
}

/** One page of brands by id. */
export const listBrands = (ctx: Ctx, after: number, limit: number) => store.listBrands(ctx.db, after, limit);

/** The texts of these brands, all languages. */
export const textsOfBrands = (ctx: Ctx, ids: readonly number[]) => store.textsOf(ctx.db, ids);

/** What can be set about a brand; null clears. */
export interface BrandChange {
  name?: string;
  accent?: string | null;
  /** The file as it is; its kind is read from its bytes. */
  logo?: Uint8Array | null;
}

/**
 * Gives a hostname a brand. From then on links in mails lead to that hostname, for who asks there.
 * @throws {AppError} invalid with the field; conflict when the hostname has a brand; step_up_required
 */
export async function createBrand(
  ctx: Ctx,
  hostname: string,
  change: BrandChange & { name: string },
): Promise<BrandHead> {
  requireProof(ctx);
  const now = ctx.now();
  const brand = await store.insertBrand(ctx.db, {
    hostname: goodHostname(hostname),
    ...columns(change),
    name: goodName(change.name),
    createdAt: now,
    updatedAt: now,
  });
  if (brand === null) throw new AppError("conflict", "This hostname has a brand already", { field: "hostname" });
  return recorded(ctx, brand, "brand.changed");
}

/** @throws {AppError} invalid with the field, not_found */
export async function changeBrand(ctx: Ctx, id: number, change: BrandChange): Promise<BrandHead> {
  const brand = await store.updateBrand(ctx.db, id, { ...columns(change), updatedAt: ctx.now() });
  if (brand === null) throw new AppError("not_found", "No such brand");
  return recorded(ctx, brand, "brand.changed");
}

/** @throws {AppError} not_found, step_up_required */
export async function deleteBrand(ctx: Ctx, id: number): Promise<void> {
  requireProof(ctx);
  const brand = await brandById(ctx, id);
  await store.deleteBrand(ctx.db, id);
  await recorded(ctx, brand, "brand.removed");
}

/**
 * Sets or clears a brand's own policy or terms in one language.
 * @param text a link, a text in Markdown, or null to clear it
 * @throws {AppError} invalid with the field
 */
export async function setBrandText(
  ctx: Ctx,
  brand: BrandHead,
  kind: BrandTextKind,
  language: string,
  text: { url: string } | { body: string } | null,
): Promise<void> {
  if (text === null) await store.deleteText(ctx.db, brand.id, kind, language);
  else {
    const url = "url" in text ? goodUrl(text.url) : null;
    const body = "body" in text ? goodBody(text.body) : null;
    const sha256 = await sha256Of(url ?? body ?? "");
    await store.writeText(ctx.db, { brandId: brand.id, kind, language, url, body, sha256, updatedAt: ctx.now() });
  }
  await recorded(ctx, brand, "brand.changed");
}

async function recorded(ctx: Ctx, brand: BrandHead, action: "brand.changed" | "brand.removed"): Promise<BrandHead> {
  forget(ctx);
  await record(ctx, action, { subject: `brand ${brand.id}` });
  return brand;
}

function columns({ name, accent, logo }: BrandChange) {
  return {
    ...(name !== undefined && { name: goodName(name) }),
    ...(accent !== undefined && { accent: accent === null ? null : goodAccent(accent) }),
    ...(logo !== undefined && (logo === null ? { logo: null, logoType: null } : { logo, logoType: logoType(logo) })),
  };
}

const HOSTNAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;

function goodHostname(typed: string): string {
  const hostname = typed.trim().toLowerCase();
  if (HOSTNAME.test(hostname)) return hostname;
  throw new AppError("invalid", "hostname must be a host name like tracking.example.com, without a scheme or port", {
    field: "hostname",
  });
}

function goodName(typed: string): string {
  const name = typed.trim();
  if (name.length >= 1 && name.length <= 60 && !/\p{Cc}/u.test(name)) return name;
  throw new AppError("invalid", "name must have 1 to 60 characters", { field: "name" });
}

/** A link that stands on the page where people sign in: TLS only, and no name or password in it. */
function goodUrl(typed: string): string {
  const text = typed.trim();
  const url = text.length <= 500 && /^https:\/\/[^\s\\]+$/i.test(text) && URL.canParse(text) ? new URL(text) : null;
  if (url !== null && url.protocol === "https:" && url.username === "" && url.password === "") return url.href;
  throw new AppError("invalid", "url must be an address that begins with https://", { field: "url" });
}

function goodBody(typed: string): string {
  const body = typed.replaceAll("\r\n", "\n").trim();
  if (body === "") throw new AppError("invalid", "body must not be empty; null clears it", { field: "body" });
  if (new TextEncoder().encode(body).length > LIMITS.documentBytes) {
    throw new AppError("invalid", `body must have at most ${LIMITS.documentBytes} bytes`, { field: "body" });
  }
  return body;
}

/** The kind of an image, from its first bytes. An SVG is a program, and no image here. */
function logoType(bytes: Uint8Array): "image/png" | "image/jpeg" | "image/webp" {
  if (bytes.length > LIMITS.logoBytes) {
    throw new AppError("invalid", `logo must have at most ${LIMITS.logoBytes / 1024} KiB`, { field: "logo" });
  }
  const head = String.fromCharCode(...bytes.subarray(0, 12));
  if (head.startsWith("\x89PNG\r\n\x1a\n")) return "image/png";
  if (head.startsWith("\xff\xd8\xff")) return "image/jpeg";
  if (head.startsWith("RIFF") && head.endsWith("WEBP")) return "image/webp";
  throw new AppError("invalid", "logo must be a PNG, JPEG or WebP image", { field: "logo" });
}

// Colours. Contrast as WCAG 2 defines it; links and buttons must reach 4.5:1 on every ground that they stand on.

type Rgb = readonly [number, number, number];
const CONTRAST = 4.5;
/** What an accent stands on in each theme (src/web/style.ts): paper, card, code and the grounds of notices. */
const LIGHT_GROUNDS = ["#ffffff", "#fdfbf7", "#f3efe7", "#eaf5ee", "#fdf1e0", "#fcecea", "#e6f2f3"];
const DARK_GROUNDS = ["#0e141b", "#151d26", "#1b2530", "#12291c", "#2e2110", "#331a17", "#112a2d"];
const WHITE = "#ffffff";

const rgbOf = (hex: string): Rgb => {
  const value = Number.parseInt(hex.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
};

function luminance(hex: string): number {
  const [r, g, b] = rgbOf(hex).map((byte) => {
    const part = byte / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  }) as unknown as Rgb;
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** From 1 (the same) to 21 (black on white). */
export function contrast(a: string, b: string): number {
  const [x, y] = [luminance(a), luminance(b)];
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
}

/** Mixes a colour with black or white, as little as it takes to be read on these grounds. */
function readable(hex: string, grounds: readonly string[], towards: 0 | 255): string {
  for (let part = 0; part <= 1; part += 0.02) {
    const mixed = rgbOf(hex).map((byte) => Math.round(byte + (towards - byte) * part));
    const colour = `#${mixed.map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
    if (grounds.every((ground) => contrast(colour, ground) >= CONTRAST)) return colour;
  }
  return towards === 0 ? "#000000" : WHITE;
}

function goodAccent(typed: string): string {
  const accent = typed.trim().toLowerCase();
  if (!/^#[0-9a-f]{6}$/.test(accent)) {
    throw new AppError("invalid", "accent must be a colour like #0b5f66", { field: "accent" });
  }
  const reached = contrast(accent, WHITE);
  if (reached >= CONTRAST) return accent;
  const darker = readable(accent, [WHITE], 0);
  throw new AppError(
    "invalid",
    `accent is too light to be read on white: its contrast is ${reached.toFixed(1)} and must be 4.5; ${darker} would do`,
    { field: "accent" },
  );
}

/** The stylesheet of a brand: its colour as it can be read in each theme. Empty for the platform's own. */
export function brandStyle({ accent }: Brand): string {
  if (accent === null) return "";
  const dark = readable(accent, DARK_GROUNDS, 255);
  return `:root { --accent: ${readable(accent, LIGHT_GROUNDS, 0)}; --on-accent: #fff; }
@media screen and (prefers-color-scheme: dark) { :root { --accent: ${dark}; --on-accent: #0e141b; } }
`;
}
