import { html } from "hono/html";
import type { AccountDetail, CountedAccount } from "../accounts.ts";
import type { Activation } from "../activation.ts";
import type { AuditRow } from "../audit.ts";
import type { BrandHead, BrandTextRow } from "../brands.ts";
import type { Device } from "../devices.ts";
import type { DocumentHead } from "../documents.ts";
import type { Form } from "../http/route.ts";
import { LIMITS } from "../limits.ts";
import type { Overview } from "../overview.ts";
import { SETTINGS, type SettingName, type Settings } from "../settings.ts";
import type { StaffMember } from "../staff.ts";
import { LANGUAGES } from "../text/index.ts";
import type { UnclaimedRow } from "../unclaimed.ts";
import { frame, type Html, type PageView } from "./frame.ts";
import {
  button,
  card,
  checkbox,
  code,
  errorSummary,
  facts,
  field,
  form,
  hidden,
  notice,
  pill,
  table,
  time,
} from "./parts.ts";
import type { FormProblem } from "./problems.ts";

/** The areas of the panel, and who of the staff sees each. */
const AREAS: readonly (readonly [path: string, roles: readonly string[]])[] = [
  ["", ["admin", "support", "privacy", "finance"]],
  ["accounts", ["admin", "support", "privacy", "finance"]],
  ["devices", ["admin"]],
  ["activations", ["admin", "support"]],
  ["brands", ["admin"]],
  ["documents", ["admin", "privacy"]],
  ["staff", ["admin"]],
  ["settings", ["admin"]],
  ["audit", ["admin", "privacy"]],
];

/** The role with which the panel is seen; who holds the admin token sees everything. */
const roleOf = (view: PageView) => (view.person?.kind === "staff" ? view.person.role : "admin");

/** What a page of the panel is shown with: what was typed, what is wrong with it, what was just done. */
export interface PanelState {
  form: Form;
  problems: readonly FormProblem[];
  done?: string | undefined;
}

interface Panel extends PanelState {
  area: string;
  title?: string;
  lead?: string;
  body: unknown;
}

function panel(view: PageView, { area, title, lead, body, problems, done }: Panel): Html {
  const t = view.t.admin;
  const areas = AREAS.filter(([, roles]) => roles.includes(roleOf(view)));
  const name = (path: string) => t.nav[path] ?? path;
  return frame(view, {
    title: title ?? (area === "" ? view.t.common.admin : name(area)),
    ...(lead !== undefined && { lead }),
    done,
    body: html`<nav class="sub" aria-label="${view.t.common.admin}"><ul>${areas.map(
      ([path]) =>
        html`<li><a href="/admin${path === "" ? "" : `/${path}`}"${path === area ? html` aria-current="page"` : ""}>${name(path)}</a></li>`,
    )}</ul></nav>${errorSummary(view, problems)}${body}`,
  });
}

/** Rows of a list as far as they are asked for, and the way on. */
export interface Listed<Row> {
  rows: readonly Row[];
  /** null: it ends here */
  next: number | null;
  /** not the first page */
  later: boolean;
}

const pager = (view: PageView, path: string, { next, later }: Listed<unknown>): Html =>
  html`<p class="actions">${later ? html`<a href="${path}">${view.t.admin.first}</a>` : ""}${
    next === null ? "" : html`<a href="${path}?cursor=${next}">${view.t.admin.more}</a>`
  }</p>`;

const oneButton = (
  name: string,
  id: string | number,
  act: string,
  text: string,
  kind: "quiet" | "danger" = "quiet",
  label?: string,
) => form(html`${hidden(name, id)}${button(act, text, kind, label)}`);

export function overviewPage(view: PageView, now: Overview, state: PanelState, result: unknown): Html {
  const t = view.t.admin.overview;
  const mayChange = roleOf(view) === "admin";
  const mayPublish = mayChange || roleOf(view) === "privacy";
  const number = (name: string, value: number | string) => card(name, html`<p class="number">${value}</p>`);
  const made = result as { token?: string; ran?: string; changed?: number } | null;
  const days = LIMITS.trainingSoonMs / 86_400_000;
  return panel(view, {
    ...state,
    area: "",
    lead: view.t.admin.lead,
    body: html`${made?.token === undefined ? "" : notice("ok", html`<p>${t.token}</p>${code(made.token)}`)}
      ${made?.ran === undefined ? "" : notice("ok", t.ran(made.ran, made.changed ?? 0))}
      ${now.canSendMail ? "" : notice("warn", t.noMail)}
      ${now.template ? notice("warn", html`${t.template} ${mayPublish ? html`<a href="/admin/documents">${t.templateTo}</a>` : ""}`) : ""}
      ${
        now.training.length === 0
          ? ""
          : notice(
              "warn",
              html`${t.training(days)}: ${now.training.map(
                ({ userId, validUntil }, i) =>
                  html`${i === 0 ? "" : ", "}${mayChange ? html`<a href="/admin/staff/${userId}">${userId}</a>` : userId} (${time(view, validUntil, t.expired)})`,
              )}`,
            )
      }
      <div class="cards">${number(t.rate, now.positionsPerS.toFixed(now.positionsPerS < 10 ? 1 : 0))}${number(t.accounts, now.accounts)}${number(
        t.users,
        now.users,
      )}${number(t.devices, now.devices)}${number(t.unclaimed, now.unclaimed)}${number(t.staff, now.staff)}${card(
        t.mails,
        html`<p class="number">${now.mails.count}</p>${
          now.mails.oldest === null ? "" : html`<p class="soft">${t.mailsSince} ${time(view, now.mails.oldest)}</p>`
        }`,
      )}</div>
      ${card(
        t.bridges,
        html`${table(
          t.bridges,
          [t.bridge, t.lastSeen, ...(mayChange ? [""] : [])],
          now.bridges.map(({ id, name, lastSeenAt }) => [
            name ?? t.configured,
            time(view, lastSeenAt),
            ...(mayChange
              ? [id === 0 ? "" : oneButton("bridge", id, "revoke", t.revoke, "danger", `${t.revoke}: ${name}`)]
              : []),
          ]),
          view.t.common.nothingYet,
        )}${
          mayChange
            ? form(
                html`${field({ name: "name", label: t.bridgeName, maxlength: LIMITS.nameCharacters }, state)}${button("bridge", t.addBridge, "quiet")}`,
              )
            : ""
        }`,
      )}
      ${card(
        t.jobs,
        table(
          t.jobs,
          [t.job, t.lastRun, view.t.admin.accounts.state, ...(mayChange ? [""] : [])],
          now.jobs.map(({ name, cron, lastRun, lateMs }) => [
            html`<code>${name}</code> <span class="soft">${cron}</span>`,
            time(view, lastRun?.startedAt ?? null),
            lastRun?.state === "failed"
              ? pill("stop", t.failed)
              : lateMs === null
                ? ""
                : lateMs > 120_000
                  ? pill("warn", t.late(Math.floor(lateMs / 60_000)))
                  : pill("ok", t.onTime),
            ...(mayChange ? [oneButton("job", name, "run", t.run, "quiet", `${t.run}: ${name}`)] : []),
          ]),
          view.t.common.nothingYet,
        ),
      )}`,
  });
}

const statePill = (view: PageView, state: string) =>
  pill(state === "active" ? "ok" : state === "suspended" ? "stop" : "warn", view.t.admin.state[state] ?? state);

export function accountsPage(view: PageView, list: Listed<CountedAccount>, state: PanelState): Html {
  const t = view.t.admin.accounts;
  return panel(view, {
    ...state,
    area: "accounts",
    lead: t.lead,
    body: html`${table(
      view.t.admin.nav.accounts!,
      ["Id", t.name, t.opened, t.state, t.users, t.devices],
      list.rows.map((row) => [
        row.id,
        html`<a href="/admin/accounts/${row.id}">${row.name}</a>`,
        time(view, row.createdAt),
        statePill(view, row.state),
        row.users,
        row.devices,
      ]),
      t.none,
    )}${pager(view, "/admin/accounts", list)}${
      roleOf(view) === "admin"
        ? card(
            t.add,
            form(
              html`${field({ name: "name", label: t.name, hint: t.addHint, maxlength: LIMITS.nameCharacters }, state)}${button("create", t.add)}`,
            ),
          )
        : ""
    }`,
  });
}

export function accountPage(view: PageView, account: AccountDetail, open: boolean, state: PanelState): Html {
  const t = view.t.admin.accounts;
  const role = roleOf(view);
  const dash = "–";
  return panel(view, {
    ...state,
    area: "accounts",
    title: account.name,
    body: html`${open ? notice("warn", t.unmasked) : ""}
      ${facts([
        ["Id", account.id],
        [t.opened, time(view, account.createdAt)],
        [t.state, statePill(view, account.state)],
        ...(account.stateReason === null ? [] : ([[t.why, account.stateReason]] as const)),
        ...(account.paymentMode === null ? [] : ([[t.payment, account.paymentMode]] as const)),
      ])}
      ${
        account.people === null
          ? ""
          : card(
              t.people,
              table(
                t.people,
                [t.email, t.name, t.mobile, t.role, t.lastSignIn],
                account.people.map((person) => [
                  person.email,
                  person.name ?? dash,
                  person.mobile ?? dash,
                  html`${view.t.admin.roles[person.role] ?? person.role} ${person.disabledAt === null ? "" : pill("stop", t.disabled)}`,
                  time(view, person.lastSignInAt),
                ]),
                view.t.common.nothingYet,
              ),
            )
      }
      ${
        account.addresses === null
          ? ""
          : card(
              t.addresses,
              account.addresses.length === 0
                ? html`<p>${view.t.common.none}</p>`
                : account.addresses.map(
                    ({ kind, recipient, line1, line2, city, region, postcode, country }) =>
                      html`<p><strong>${kind}</strong><br>${[recipient, line1, line2, city, region, postcode, country].filter(Boolean).join(", ")}</p>`,
                  ),
            )
      }
      ${
        role === "admin" || role === "support"
          ? card(
              t.act,
              form(html`<p>${t.suspendHint}</p>${field({ name: "reason", label: t.reason, hint: t.reasonHint, maxlength: LIMITS.reasonMaxCharacters }, state)}
                <div class="actions">${button("unmask", t.unmask)}${
                  role === "admin" && account.state === "active" ? button("suspend", t.suspend, "danger") : ""
                }${role === "admin" && account.state === "suspended" ? button("resume", t.resume, "quiet") : ""}</div>`),
            )
          : ""
      }`,
  });
}

export function devicesPage(
  view: PageView,
  list: Listed<Device>,
  unclaimed: readonly UnclaimedRow[],
  state: PanelState,
): Html {
  const t = view.t.admin.devices;
  return panel(view, {
    ...state,
    area: "devices",
    lead: t.lead,
    body: html`${table(
      view.t.admin.nav.devices!,
      ["Id", t.imei, t.name, t.model, t.account],
      list.rows.map((row) => [
        row.id,
        row.imei,
        row.name,
        row.model ?? "–",
        html`<a href="/admin/accounts/${row.accountId}">${row.accountId}</a>`,
      ]),
      t.none,
    )}${pager(view, "/admin/devices", list)}${card(
      t.unclaimed,
      table(
        t.unclaimed,
        [t.imei, t.since, t.last, t.frames],
        unclaimed.map((row) => [row.imei, time(view, row.firstSeen), time(view, row.lastSeen), row.frames]),
        t.noneUnclaimed,
      ),
    )}`,
  });
}

export type LoadedCodes = readonly { imei: string; code: string | null }[];

export function activationsPage(
  view: PageView,
  list: Listed<Activation>,
  made: LoadedCodes | null,
  state: PanelState,
): Html {
  const t = view.t.admin.activations;
  const { imei, model, account } = view.t.admin.devices;
  return panel(view, {
    ...state,
    area: "activations",
    lead: t.lead,
    body: html`${
      made === null
        ? ""
        : html`${notice("warn", t.codes)}${table(
            t.codes,
            [imei, t.code],
            made.map((row) => [row.imei, row.code === null ? t.given : html`<code>${row.code}</code>`]),
            view.t.common.none,
          )}`
    }${table(
      view.t.admin.nav.activations!,
      [imei, model, t.order, t.loaded, t.activated, account, ""],
      list.rows.map((row) => [
        row.imei,
        row.model ?? "–",
        row.orderReference ?? "–",
        time(view, row.loadedAt),
        time(view, row.activatedAt),
        row.accountId === null ? "–" : html`<a href="/admin/accounts/${row.accountId}">${row.accountId}</a>`,
        oneButton("imei", row.imei, "remove", view.t.common.remove, "danger", `${view.t.common.remove}: ${row.imei}`),
      ]),
      t.none,
    )}${pager(view, "/admin/activations", list)}${card(
      t.load,
      form(
        html`${field({ name: "devices", label: t.csv, hint: t.csvHint, rows: 6 }, state)}${field({ name: "file", label: t.file, type: "file", accept: ".csv,text/csv" }, state)}${button("load", t.load)}`,
        { files: true },
      ),
    )}`,
  });
}

export function brandsPage(view: PageView, list: Listed<BrandHead>, state: PanelState): Html {
  const t = view.t.admin.brands;
  return panel(view, {
    ...state,
    area: "brands",
    lead: t.lead,
    body: html`${table(
      view.t.admin.nav.brands!,
      [t.hostname, t.name, t.accent],
      list.rows.map((row) => [
        html`<a href="/admin/brands/${row.id}">${row.hostname}</a>`,
        row.name,
        row.accent ?? "–",
      ]),
      t.none,
    )}${pager(view, "/admin/brands", list)}${card(
      t.add,
      form(
        html`${field({ name: "hostname", label: t.hostname, hint: t.hostnameHint, maxlength: 253 }, state)}${field(
          { name: "name", label: t.name, maxlength: 60 },
          state,
        )}${button("create", t.add)}`,
      ),
    )}`,
  });
}

export const BRAND_TEXT_KINDS = ["privacy", "terms"] as const;

export function brandPage(view: PageView, brand: BrandHead, texts: readonly BrandTextRow[], state: PanelState): Html {
  const t = view.t.admin.brands;
  const of = (kind: string, language: string) => texts.find((row) => row.kind === kind && row.language === language);
  return panel(view, {
    ...state,
    area: "brands",
    title: brand.hostname,
    body: html`${card(
      t.look,
      form(
        html`${field({ name: "name", label: t.name, value: brand.name, maxlength: 60 }, state)}${field(
          {
            name: "accent",
            label: t.accent,
            hint: t.accentHint,
            value: brand.accent,
            maxlength: 7,
            optional: view.t.common.optional,
          },
          state,
        )}${field({ name: "logo", label: t.logo, hint: t.logoHint, type: "file", accept: "image/png,image/jpeg,image/webp" }, state)}${
          brand.logoType === null ? "" : checkbox({ name: "noLogo", label: t.noLogo }, state)
        }${button("save", view.t.common.save)}`,
        { files: true },
      ),
    )}${card(
      t.texts,
      form(
        html`<p>${t.textsHint}</p>${BRAND_TEXT_KINDS.flatMap((kind) =>
          Object.entries(LANGUAGES).map(
            ([language, { name }]) =>
              html`<h3>${view.t.admin.documents.kinds[kind]}, ${name}</h3>${field(
                { name: `${kind}.${language}.url`, label: t.url, type: "url", value: of(kind, language)?.url ?? null },
                state,
              )}${field(
                {
                  name: `${kind}.${language}.body`,
                  label: t.body,
                  rows: 4,
                  lang: language,
                  value: of(kind, language)?.body ?? null,
                },
                state,
              )}`,
          ),
        )}${button("texts", view.t.common.save)}`,
      ),
    )}<div class="actions">${form(button("remove", t.remove, "danger"))}</div>`,
  });
}

/** Fields of the form that publishes, filled with a text that there is. */
export interface Draft {
  kind: string;
  texts: Readonly<Record<string, { title: string; body: string }>>;
}

export function documentsPage(
  view: PageView,
  list: Listed<DocumentHead>,
  draft: Draft | null,
  state: PanelState,
): Html {
  const t = view.t.admin.documents;
  const { optional } = view.t.common;
  return panel(view, {
    ...state,
    area: "documents",
    lead: t.lead,
    body: html`${table(
      view.t.admin.nav.documents!,
      [t.kind, t.version, t.title, t.published, t.effective, ""],
      list.rows.map((row) => [
        html`${t.kinds[row.kind]}${row.product === "" ? "" : ` (${row.product}${row.region === "" ? "" : `, ${row.region}`})`}`,
        row.kind === "notice"
          ? `${row.version} ${row.language}`
          : html`<a href="/legal/${row.kind}/${row.version}?lang=${row.language}">${row.version} ${row.language}</a>`,
        row.title,
        time(view, row.publishedAt),
        time(view, row.effectiveAt),
        html`${row.template === 1 ? pill("warn", t.template) : ""} ${row.material === 1 ? pill("info", t.material) : ""}`,
      ]),
      t.none,
    )}${pager(view, "/admin/documents", list)}${card(
      t.publish,
      form(
        html`<p>${t.start} <a href="?from=privacy#publish">${t.kinds.privacy}</a>, <a href="?from=terms#publish">${t.kinds.terms}</a></p>${field(
          { name: "kind", label: t.kind, value: draft?.kind ?? "privacy", choices: Object.entries(t.kinds) },
          state,
        )}${field({ name: "product", label: t.product, optional: t.noticeOnly, maxlength: 100 }, state)}${field(
          { name: "region", label: t.region, optional: t.noticeOnly, maxlength: 100 },
          state,
        )}${Object.entries(LANGUAGES).map(
          ([language, { name }]) =>
            html`<h3>${name}</h3>${field(
              {
                name: `${language}.title`,
                label: t.title,
                lang: language,
                maxlength: 200,
                value: draft?.texts[language]?.title ?? null,
              },
              state,
            )}${field(
              {
                name: `${language}.body`,
                label: t.body,
                hint: t.bodyHint,
                rows: 12,
                lang: language,
                value: draft?.texts[language]?.body ?? null,
              },
              state,
            )}`,
        )}${checkbox({ name: "material", label: t.isMaterial, hint: t.materialHint }, state)}${field(
          { name: "effectiveAt", label: t.effectiveAt, hint: t.effectiveHint, type: "date", optional },
          state,
        )}${button("publish", t.publish)}`,
      ),
      { id: "publish" },
    )}`,
  });
}

const staffRoles = (view: PageView) =>
  ["admin", "support", "privacy", "finance"].map((role) => [role, view.t.admin.roles[role] ?? role] as const);

const staffPill = (view: PageView, member: StaffMember) => {
  const t = view.t.admin.staff;
  if (member.disabledAt !== null) return pill("stop", t.disabled);
  return member.joined ? "" : pill("info", t.invited);
};

/** @param link of an invitation that no mail carries; shown once */
export function staffPage(view: PageView, list: Listed<StaffMember>, link: string | null, state: PanelState): Html {
  const t = view.t.admin.staff;
  return panel(view, {
    ...state,
    area: "staff",
    lead: t.lead,
    body: html`${link === null ? "" : notice("warn", html`<p>${t.link}</p>${code(link)}`)}${table(
      view.t.admin.nav.staff!,
      [t.email, t.role, t.training, ""],
      list.rows.map((row) => [
        html`<a href="/admin/staff/${row.id}">${row.email}</a>`,
        view.t.admin.roles[row.role] ?? row.role,
        (row.trainingValidUntil ?? 0) > view.now
          ? time(view, row.trainingValidUntil)
          : pill("stop", view.t.admin.overview.expired),
        staffPill(view, row),
      ]),
      view.t.common.nothingYet,
    )}${pager(view, "/admin/staff", list)}${card(
      t.invite,
      form(
        html`${field({ name: "email", label: t.email, type: "email", autocomplete: "off" }, state)}${field(
          { name: "role", label: t.role, value: "support", choices: staffRoles(view) },
          state,
        )}${field(
          {
            name: "language",
            label: t.language,
            value: view.language,
            choices: Object.entries(LANGUAGES).map(([key, { name }]) => [key, name] as const),
          },
          state,
        )}${button("invite", t.send)}`,
      ),
    )}`,
  });
}

export function staffMemberPage(view: PageView, member: StaffMember, state: PanelState): Html {
  const t = view.t.admin.staff;
  const today = new Date(view.now + 365 * 86_400_000).toISOString().slice(0, 10);
  return panel(view, {
    ...state,
    area: "staff",
    title: member.name ?? member.email,
    body: html`${facts([
      [t.email, member.email],
      [t.role, html`${view.t.admin.roles[member.role] ?? member.role} ${staffPill(view, member)}`],
      [t.training, time(view, member.trainingValidUntil, view.t.admin.overview.expired)],
      [view.t.admin.accounts.lastSignIn, time(view, member.lastSignInAt)],
    ])}${card(
      t.attest,
      form(
        html`${field({ name: "validUntil", label: t.training, hint: t.attestHint, type: "date", value: today }, state)}${button("attest", t.attest)}`,
      ),
    )}${card(
      t.access,
      form(
        html`${field({ name: "role", label: t.role, value: member.role, choices: staffRoles(view) }, state)}<div class="actions">${button(
          "role",
          t.changeRole,
          "quiet",
        )}${member.disabledAt === null ? button("disable", t.disable, "danger") : button("enable", t.enable, "quiet")}${button(
          "remove",
          t.remove,
          "danger",
        )}</div>`,
      ),
    )}`,
  });
}

export function settingsPage(view: PageView, settings: Settings, state: PanelState): Html {
  const t = view.t.admin.settings;
  return panel(view, {
    ...state,
    area: "settings",
    lead: t.lead,
    body: form(
      html`${(Object.keys(SETTINGS) as SettingName[]).map((name) =>
        field({ name, label: t.what[name] ?? SETTINGS[name].what, value: settings[name], maxlength: 254 }, state),
      )}${button("save", view.t.common.save)}`,
    ),
  });
}

export function auditPage(view: PageView, list: Listed<AuditRow>, state: PanelState): Html {
  const t = view.t.admin.audit;
  return panel(view, {
    ...state,
    area: "audit",
    lead: t.lead,
    body: html`${table(
      view.t.admin.nav.audit!,
      [t.at, t.who, t.what, t.account, t.subject, t.reason],
      list.rows.map((row) => [
        time(view, row.at),
        `${row.actor}${row.actorId === null ? "" : ` ${row.actorId}`}`,
        html`<code>${row.action}</code>`,
        row.accountId === null ? "–" : html`<a href="/admin/accounts/${row.accountId}">${row.accountId}</a>`,
        row.subject ?? "–",
        row.reason ?? "–",
      ]),
      t.none,
    )}${pager(view, "/admin/audit", list)}`,
  });
}

/** @param isOpen the link still works */
export function setupPage(view: PageView, isOpen: boolean, { form: typed, problems }: PanelState): Html {
  const t = view.t.admin.setup;
  const state = { form: typed, problems };
  return frame(view, {
    title: t.title,
    narrow: true,
    ...(isOpen && { lead: t.lead }),
    body: isOpen
      ? html`${errorSummary(view, problems)}${form(
          html`${field({ name: "email", label: t.email, type: "email", autocomplete: "username" }, state)}${field(
            {
              name: "name",
              label: t.name,
              optional: view.t.common.optional,
              autocomplete: "name",
              maxlength: LIMITS.nameCharacters,
            },
            state,
          )}${field(
            {
              name: "password",
              label: t.password,
              hint: t.passwordHint,
              type: "password",
              autocomplete: "new-password",
            },
            state,
          )}${button("setup", t.submit)}`,
        )}`
      : html`${notice("stop", t.over)}<p>${t.overHint}</p>${code("npm run -s admin -- setup link")}`,
  });
}
