import { sealFile } from "../client/sealed-file.ts";
import { newToken, personOf, requireProof, tokenHash } from "./access.ts";
import { record } from "./audit.ts";
import type { Base, Ctx, UserPrincipal } from "./context.ts";
import { isSealed } from "./customer-keys.ts";
import { AppError } from "./errors.ts";
import { archive, type ExportScope, isWhole } from "./export-archive.ts";
import { LIMITS } from "./limits.ts";
import { linkTo } from "./mail.ts";
import { toHex } from "./seal.ts";
import { keysInUse } from "./store/customer-keys.ts";
import { deviceById } from "./store/devices.ts";
import type { ExportLink } from "./store/exports.ts";
import * as store from "./store/exports.ts";
import { ledgerKey } from "./vault-own.ts";
import { zip } from "./zip.ts";

export type { ExportScope } from "./export-archive.ts";
export { EXPORT_CATEGORIES } from "./export-archive.ts";

// An export is made while it is fetched, and nothing of it is stored. Its link opens nothing by itself: the same person
// must be signed in who asked for it. To everybody else, and once it is over, it is as if there were none.

export interface Export extends Omit<ExportLink, "scope"> {
  scope: ExportScope;
}

/** @throws {AppError} forbidden */
function customerOf(ctx: Ctx): UserPrincipal {
  const me = personOf(ctx);
  if (me.kind !== "user") throw new AppError("forbidden", "This needs a customer's session");
  return me;
}

const read = ({ scope, ...link }: ExportLink): Export => ({ ...link, scope: JSON.parse(scope) as ExportScope });

/**
 * Makes a link to an export of what is held about the caller: their account where they own or manage the whole of it.
 * @throws {AppError} invalid, conflict, step_up_required
 */
export async function createExport(ctx: Ctx, scope: ExportScope = {}): Promise<{ url: string; expiresAt: number }> {
  requireProof(ctx);
  const me = customerOf(ctx);
  const { from, to, devices = [] } = scope;
  if (from !== undefined && to !== undefined && from > to) {
    throw new AppError("invalid", "to lies before from", { field: "to" });
  }
  for (const id of devices) {
    if ((await deviceById(ctx.db, me, id)) !== null) continue;
    throw new AppError("invalid", `devices names ${id}, which is no device of yours`, { field: "devices" });
  }
  const { token, hash } = await newToken(ctx, "link");
  const url = await linkTo(ctx, `/v1/exports/${token}`);
  const createdAt = ctx.now();
  const expiresAt = createdAt + LIMITS.exportLinkMs;
  const link = { hash, scope: JSON.stringify(scope), createdAt, expiresAt };
  const id = await store.insertLink(ctx.db, me, link, LIMITS.exportLinks);
  if (id === null) throw new AppError("conflict", `There are ${LIMITS.exportLinks} links already: revoke one first`);
  await record(ctx, "export.created", { accountId: me.accountId, subject: `export ${id}` });
  return { url, expiresAt };
}

/** The caller's links in force, newest first. */
export async function listExports(ctx: Ctx): Promise<Export[]> {
  return (await store.listLinks(ctx.db, customerOf(ctx), ctx.now())).map(read);
}

/** What the page says of them beside: of what they are, and whether they are encrypted. */
export async function exportsOf(ctx: Ctx): Promise<{ links: Export[]; wholeAccount: boolean; sealed: boolean }> {
  const me = customerOf(ctx);
  const [links, sealed] = await Promise.all([listExports(ctx), isSealed(ctx, me.accountId)]);
  return { links, wholeAccount: isWhole(me), sealed };
}

/** @throws {AppError} not_found, also for somebody else's */
export async function exportOf(ctx: Ctx, id: number): Promise<Export> {
  const link = await store.linkById(ctx.db, customerOf(ctx), id, ctx.now());
  if (link === null) throw new AppError("not_found", "No such export");
  return read(link);
}

/** Ends a link at once, and what is being fetched with it. */
export async function revokeExport(ctx: Ctx, id: number): Promise<void> {
  const me = customerOf(ctx);
  await store.deleteLink(ctx.db, me, id);
  await record(ctx, "export.revoked", { accountId: me.accountId, subject: `export ${id}` });
}

/** @throws {AppError} not_found: there is none, it is over, or it is somebody else's */
export async function exportOfToken(ctx: Ctx, token: string): Promise<Export> {
  const link = await store.linkOfHash(ctx.db, customerOf(ctx), await tokenHash(token), ctx.now());
  if (link === null) throw new AppError("not_found", "No such export, or it is over");
  return read(link);
}

/** What is in manifest.sig: over the bytes of manifest.json, by the key of `/.well-known/ledger-heads.json`. */
export async function signature(ctx: Base, manifest: Uint8Array<ArrayBuffer>): Promise<string> {
  const { privateKey, publicKey, keyId } = await ledgerKey(ctx);
  const signature = new Uint8Array(await crypto.subtle.sign("Ed25519", privateKey, manifest));
  const said = { algorithm: "Ed25519", keyId, publicKey: toHex(publicKey), signature: toHex(signature) };
  return `${JSON.stringify(said)}\n`;
}

export interface Download {
  fileName: string;
  mediaType: string;
  body: ReadableStream<Uint8Array>;
}

/**
 * The export itself, encrypted to the account's sealing keys where there are any. It is written as it is read: a page is in memory, and nothing is
 * read ahead of the reader.
 */
export async function download(ctx: Ctx, { id, scope }: Export): Promise<Download> {
  const me = customerOf(ctx);
  const now = ctx.now();
  let checkedAt = now;
  const alive = async () => {
    if (ctx.now() - checkedAt < LIMITS.exportCheckMs) return;
    checkedAt = ctx.now();
    // Revoked, over, or the account is frozen.
    if ((await store.linkById(ctx.db, me, id, checkedAt)) === null) throw new AppError("not_found", "It is over");
  };
  const plain = zip(
    archive(ctx, me, scope, alive, (manifest) => signature(ctx, manifest)),
    now,
  );
  const keys = (await keysInUse(ctx.db, [me.accountId])).get(me.accountId) ?? [];
  const publicKeys = keys.map(({ publicKey }) => publicKey);
  const chunks = keys.length === 0 ? plain : sealFile(plain, publicKeys, ctx.random);
  let began = false;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (!began) await store.markFetched(ctx.db, me, id, now);
        began = true;
        const { done, value } = await chunks.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await chunks.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
  return keys.length === 0
    ? { fileName: `export-${id}.zip`, mediaType: "application/zip", body }
    : { fileName: `export-${id}.zip.sealed`, mediaType: "application/vnd.ephemeris.sealed", body };
}
