import * as v from "valibot";
import { requireRight } from "../../access.ts";
import {
  type AccountDetail,
  accountById,
  accountDetail,
  createAccount,
  listAccounts,
  resumeAccount,
  suspendAccount,
  unmaskAccount,
} from "../../accounts.ts";
import { listActivations, loadActivationsCsv, removeActivation } from "../../activation.ts";
import { listActions } from "../../audit.ts";
import {
  type BrandTextKind,
  brandById,
  changeBrand,
  createBrand,
  deleteBrand,
  listBrands,
  setBrandText,
  textsOfBrands,
} from "../../brands.ts";
import { createBridge, revokeBridge } from "../../bridges.ts";
import type { Ctx, StaffRole } from "../../context.ts";
import { listAllDevices } from "../../devices.ts";
import { type DocumentKind, documentText, listDocuments, publishVersion } from "../../documents.ts";
import { AppError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import { overview, runJobNow } from "../../overview.ts";
import { changeSettings, SETTINGS, settingsOf } from "../../settings.ts";
import { finishSetup, isSetupOpen } from "../../setup.ts";
import { attestTraining, changeStaff, inviteStaff, listStaff, removeStaff, staffById } from "../../staff.ts";
import { LANGUAGES } from "../../text/index.ts";
import { listUnclaimed } from "../../unclaimed.ts";
import {
  accountPage,
  accountsPage,
  activationsPage,
  devicesPage,
  type LoadedCodes,
} from "../../web/admin/customers.ts";
import { auditPage, overviewPage, settingsPage, setupPage } from "../../web/admin/operation.ts";
import type { Listed, PanelState } from "../../web/admin/panel.ts";
import { BRAND_TEXT_KINDS, brandPage, brandsPage, type Draft, documentsPage } from "../../web/admin/publishing.ts";
import { staffMemberPage, staffPage } from "../../web/admin/staff.ts";
import { sessionCookie } from "../browser.ts";
import { IdCursor, Name, PathId, queryTime } from "../fields.ts";
import { type PageQuery, page, typed } from "../page.ts";
import type { Form, Route } from "../route.ts";
import { parse } from "../validate.ts";

// The operator's panel. A page is open to whoever of the staff has a use for it; an act asks again for the right to it.

const ById = v.object({ id: PathId });
const cursor = { cursor: IdCursor };
interface Cursor {
  cursor?: number | undefined;
}

async function listed<Row extends { id: number }>(
  at: number | undefined,
  first: number,
  read: (at: number, limit: number) => Promise<readonly Row[]>,
): Promise<Listed<Row>> {
  const limit = LIMITS.pageDefault;
  const rows = await read(at ?? first, limit + 1);
  const shown = rows.slice(0, limit);
  return { rows: shown, next: rows.length > limit ? shown.at(-1)!.id : null, later: at !== undefined };
}

const state = ({ form, problems, query }: { form: Form; problems: PanelState["problems"]; query: PageQuery }) => ({
  form,
  problems,
  done: query.done,
});

const nameIn = (form: Form) => parse(v.object({ name: Name }), { name: typed(form, "name") }).name;
const idIn = (form: Form, name: string) =>
  parse(v.object({ [name]: PathId }), { [name]: typed(form, name) })[name] as number;
const Day = queryTime("A day");
/** A day that was typed, as its first moment in UTC; undefined when nothing was. */
const dayIn = (form: Form, name: string) =>
  parse(v.object({ [name]: v.optional(Day) }), { [name]: typed(form, name) || undefined })[name] as number | undefined;
const admin = (ctx: Ctx) => requireRight("admin", ctx.principal);

const OVERVIEW = page({
  path: "/admin",
  access: "staff",
  summary: "The panel",
  show: async (call) => overviewPage(call.view, await overview(call.ctx), state(call), call.result),
  acts: {
    run: async ({ ctx, form }) => {
      admin(ctx);
      const job = typed(form, "job");
      return { show: { ran: job, changed: await runJobNow(ctx, job) } };
    },
    bridge: async ({ ctx, form }) => {
      admin(ctx);
      return { show: { token: (await createBridge(ctx, nameIn(form))).token } };
    },
    revoke: async ({ ctx, form }) => {
      admin(ctx);
      await revokeBridge(ctx, idIn(form, "bridge"));
      return "/admin?done=removed";
    },
  },
});

const ACCOUNTS = page<undefined, Cursor>({
  path: "/admin/accounts",
  access: "staff",
  summary: "Accounts",
  query: cursor,
  show: async (call) =>
    accountsPage(
      call.view,
      await listed(call.query.cursor, 0, (after, limit) => listAccounts(call.ctx, after, limit)),
      state(call),
    ),
  acts: {
    create: async ({ ctx, form }) => {
      admin(ctx);
      return `/admin/accounts/${(await createAccount(ctx, nameIn(form))).id}?done=saved`;
    },
  },
});

const ACCOUNT = page({
  path: "/admin/accounts/{id}",
  access: "staff",
  summary: "An account",
  params: ById,
  find: (ctx, { id }) => accountById(ctx, id),
  show: async (call) => {
    const unmasked = call.result as AccountDetail | null;
    const detail = unmasked ?? (await accountDetail(call.ctx, call.object));
    return accountPage(call.view, detail, unmasked !== null, state(call));
  },
  acts: {
    unmask: async ({ ctx, object, form }) => {
      requireRight("support", ctx.principal);
      return { show: await unmaskAccount(ctx, object, typed(form, "reason")) };
    },
    suspend: async ({ ctx, object, form }) => {
      admin(ctx);
      await suspendAccount(ctx, object, typed(form, "reason"));
      return `/admin/accounts/${object.id}?done=saved`;
    },
    resume: async ({ ctx, object }) => {
      admin(ctx);
      await resumeAccount(ctx, object);
      return `/admin/accounts/${object.id}?done=saved`;
    },
  },
});

const DEVICES = page<undefined, Cursor>({
  path: "/admin/devices",
  access: "admin",
  summary: "Devices of all accounts",
  query: cursor,
  show: async (call) =>
    devicesPage(
      call.view,
      await listed(call.query.cursor, 0, (after, limit) => listAllDevices(call.ctx, after, limit)),
      await listUnclaimed(call.ctx),
      state(call),
    ),
});

const ACTIVATIONS = page<undefined, Cursor>({
  path: "/admin/activations",
  access: "support",
  summary: "Trackers that were sold",
  query: cursor,
  show: async (call) =>
    activationsPage(
      call.view,
      await listed(call.query.cursor, 0, (after, limit) => listActivations(call.ctx, after, limit)),
      call.result as LoadedCodes | null,
      state(call),
    ),
  acts: {
    load: async ({ ctx, form }) => {
      const { file } = form;
      const isFile = typeof file === "object" && file.bytes.length > 0;
      try {
        const text = isFile
          ? new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(file.bytes)
          : typed(form, "devices");
        return { show: await loadActivationsCsv(ctx, text) };
      } catch (error) {
        if (error instanceof TypeError)
          throw new AppError("invalid", "The list is not text in UTF-8", { field: "file" });
        if (!(error instanceof AppError)) throw error;
        throw new AppError(error.code, error.message, { field: isFile ? "file" : "devices" });
      }
    },
    remove: async ({ ctx, form }) => {
      await removeActivation(ctx, typed(form, "imei"));
      return "/admin/activations?done=removed";
    },
  },
});

const BRANDS = page<undefined, Cursor>({
  path: "/admin/brands",
  access: "admin",
  summary: "Brands",
  query: cursor,
  show: async (call) =>
    brandsPage(
      call.view,
      await listed(call.query.cursor, 0, (after, limit) => listBrands(call.ctx, after, limit)),
      state(call),
    ),
  acts: {
    create: async ({ ctx, form }) => {
      const brand = await createBrand(ctx, typed(form, "hostname"), { name: typed(form, "name") });
      return `/admin/brands/${brand.id}?done=saved`;
    },
  },
});

const BRAND = page({
  path: "/admin/brands/{id}",
  access: "admin",
  summary: "A brand",
  params: ById,
  find: (ctx, { id }) => brandById(ctx, id),
  show: async (call) => brandPage(call.view, call.object, await textsOfBrands(call.ctx, [call.object.id]), state(call)),
  acts: {
    save: async ({ ctx, object, form }) => {
      const { logo } = form;
      await changeBrand(ctx, object.id, {
        name: typed(form, "name"),
        accent: typed(form, "accent").trim() || null,
        ...(typeof logo === "object" && logo.bytes.length > 0
          ? { logo: logo.bytes }
          : typed(form, "noLogo") === "on" && { logo: null }),
      });
      return `/admin/brands/${object.id}?done=saved`;
    },
    texts: async ({ ctx, object, form, view }) => {
      const stored = await textsOfBrands(ctx, [object.id]);
      const at = (kind: BrandTextKind, language: string) => {
        const name = `${kind}.${language}`;
        const [url, body] = [typed(form, `${name}.url`).trim(), typed(form, `${name}.body`).trim()];
        return { name, url, body };
      };
      const all = BRAND_TEXT_KINDS.flatMap((kind) =>
        Object.keys(LANGUAGES).map((language) => ({ kind, language, ...at(kind, language) })),
      );
      const twice = all.find(({ url, body }) => url !== "" && body !== "");
      if (twice !== undefined) throw new AppError("invalid", view.t.admin.brands.both, { field: `${twice.name}.url` });
      for (const { kind, language, name, url, body } of all) {
        const was = stored.find((row) => row.kind === kind && row.language === language);
        if ((was?.url ?? "") === url && (was?.body ?? "").trim() === body) continue;
        await setBrandText(ctx, object, kind, language, url !== "" ? { url } : body !== "" ? { body } : null).catch(
          (error: unknown) => {
            if (!(error instanceof AppError)) throw error;
            throw new AppError(error.code, error.message, { field: `${name}.${error.field ?? "url"}` });
          },
        );
      }
      return `/admin/brands/${object.id}?done=saved`;
    },
    remove: async ({ ctx, object }) => {
      await deleteBrand(ctx, object.id);
      return "/admin/brands?done=removed";
    },
  },
});

const LEGAL = v.picklist(["privacy", "terms"]);

/** The text in force, to begin from. */
async function draftFrom(ctx: Ctx, kind: "privacy" | "terms"): Promise<Draft> {
  const texts: Record<string, { title: string; body: string }> = {};
  for (const language of Object.keys(LANGUAGES)) {
    const text = await documentText(ctx, { kind, product: "", region: "" }, null, language).catch(() => null);
    if (text !== null && text.language === language) texts[language] = { title: text.title, body: text.body };
  }
  return { kind, texts };
}

const DOCUMENTS = page<undefined, Cursor & { from?: "privacy" | "terms" }>({
  path: "/admin/documents",
  access: "privacy",
  summary: "Statement, terms and notices",
  query: { ...cursor, from: v.optional(LEGAL) },
  show: async (call) =>
    documentsPage(
      call.view,
      await listed(call.query.cursor, 0, (after, limit) => listDocuments(call.ctx, after, limit)),
      call.query.from === undefined ? null : await draftFrom(call.ctx, call.query.from),
      state(call),
    ),
  acts: {
    publish: async ({ ctx, form }) => {
      const { kind } = parse(v.object({ kind: v.picklist(["privacy", "terms", "notice"]) }), {
        kind: typed(form, "kind"),
      });
      const texts = Object.keys(LANGUAGES)
        .map((language) => ({
          language,
          title: typed(form, `${language}.title`).trim(),
          body: typed(form, `${language}.body`),
        }))
        .filter(({ title, body }) => title !== "" || body.trim() !== "");
      for (const { language, title, body } of texts) {
        for (const [part, value] of Object.entries({ title, body })) {
          if (value.trim() === "")
            throw new AppError("invalid", `${part} must not be empty`, { field: `${language}.${part}` });
        }
      }
      const effectiveAt = dayIn(form, "effectiveAt");
      await publishVersion(ctx, {
        kind: kind as DocumentKind,
        product: typed(form, "product").trim(),
        region: typed(form, "region").trim(),
        texts,
        material: typed(form, "material") === "on",
        effectiveAt,
      }).catch((error: unknown) => {
        if (!(error instanceof AppError) || error.field !== "texts") throw error;
        throw new AppError(error.code, error.message, { field: "en.body" });
      });
      return "/admin/documents?done=saved";
    },
  },
});

const STAFF_ROLE = v.picklist(["admin", "support", "privacy", "finance"]);
const roleIn = (form: Form): StaffRole => parse(v.object({ role: STAFF_ROLE }), { role: typed(form, "role") }).role;

const STAFF = page<undefined, Cursor>({
  path: "/admin/staff",
  access: "admin",
  summary: "Staff",
  query: cursor,
  show: async (call) =>
    staffPage(
      call.view,
      await listed(call.query.cursor, 0, (after, limit) => listStaff(call.ctx, after, limit)),
      call.result as string | null,
      state(call),
    ),
  acts: {
    invite: async ({ ctx, form }) => {
      const { language } = parse(v.object({ language: v.picklist(Object.keys(LANGUAGES)) }), {
        language: typed(form, "language"),
      });
      const { link } = await inviteStaff(ctx, { email: typed(form, "email").trim(), role: roleIn(form), language });
      return link === null ? "/admin/staff?done=saved" : { show: link };
    },
  },
});

const STAFF_MEMBER = page({
  path: "/admin/staff/{id}",
  access: "admin",
  summary: "One of the staff",
  params: ById,
  find: (ctx, { id }) => staffById(ctx, id),
  show: (call) => staffMemberPage(call.view, call.object, state(call)),
  acts: {
    attest: async ({ ctx, object, form }) => {
      await attestTraining(ctx, object, dayIn(form, "validUntil") ?? 0);
      return `/admin/staff/${object.id}?done=saved`;
    },
    role: async ({ ctx, object, form }) => {
      await changeStaff(ctx, object, { role: roleIn(form) });
      return `/admin/staff/${object.id}?done=saved`;
    },
    disable: async ({ ctx, object }) => {
      await changeStaff(ctx, object, { disabled: true });
      return `/admin/staff/${object.id}?done=saved`;
    },
    enable: async ({ ctx, object }) => {
      await changeStaff(ctx, object, { disabled: false });
      return `/admin/staff/${object.id}?done=saved`;
    },
    remove: async ({ ctx, object }) => {
      await removeStaff(ctx, object);
      return "/admin/staff?done=removed";
    },
  },
});

const SETTINGS_PAGE = page({
  path: "/admin/settings",
  access: "admin",
  summary: "Settings",
  show: async (call) => settingsPage(call.view, await settingsOf(call.ctx), state(call)),
  acts: {
    save: async ({ ctx, form }) => {
      const names = Object.keys(SETTINGS).filter((name) => typeof form[name] === "string");
      await changeSettings(ctx, Object.fromEntries(names.map((name) => [name, typed(form, name).trim()])));
      return "/admin/settings?done=saved";
    },
  },
});

const AUDIT = page<undefined, Cursor>({
  path: "/admin/audit",
  access: "privacy",
  summary: "What people and the operator did",
  query: cursor,
  show: async (call) =>
    auditPage(
      call.view,
      await listed(call.query.cursor, LIMITS.timeMs, (before, limit) => listActions(call.ctx, null, before, limit)),
      state(call),
    ),
});

const SETUP = page({
  path: "/setup/{token}",
  access: "public",
  summary: "Make the first administrator",
  params: v.object({ token: v.pipe(v.string(), v.regex(/^[\w-]{1,100}$/)) }),
  show: async (call) => setupPage(call.view, await isSetupOpen(call.ctx, call.params.token), state(call)),
  acts: {
    setup: async ({ ctx, params, form, view }) => {
      const opened = await finishSetup(ctx, params.token, {
        email: typed(form, "email").trim(),
        name: typed(form, "name").trim() || null,
        password: typed(form, "password"),
        language: view.language,
      });
      return { to: "/admin", cookie: sessionCookie(opened.cookie, LIMITS.staffSessionMs) };
    },
  },
});

const ALL = [OVERVIEW, ACCOUNTS, ACCOUNT, DEVICES, ACTIVATIONS, BRANDS, BRAND, DOCUMENTS, STAFF, STAFF_MEMBER];
export const ADMIN_PAGES: readonly Route[] = [...ALL, SETTINGS_PAGE, AUDIT, SETUP].flat();
