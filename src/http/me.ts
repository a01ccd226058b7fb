import * as v from "valibot";
import { type Held, held, isTime } from "../held.ts";
import { LIMITS } from "../limits.ts";
import {
  ADDRESS_KINDS,
  askForEmail,
  changeAccount,
  changeMobile,
  changeProfile,
  confirmEmail,
  PAYMENT_MODES,
  type Profile,
  profileOf,
  recentDevices,
  UNITS,
} from "../profile.ts";
import { GIVEN, type Given, lossOf, SERVICES, type Service, servicesOf } from "../requirements.ts";
import { forgetSearches, listSearches, search } from "../searches.ts";
import { LANGUAGES, languageFor } from "../text/index.ts";
import { Id, iso, isoOrNull, MaybeTime, Name, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";

const Line = v.pipe(
  v.string(),
  v.trim(),
  v.minLength(1),
  v.maxLength(LIMITS.addressCharacters),
  v.check((text) => !/\p{Cc}/u.test(text), "must be one line"),
);
const MaybeLine = v.optional(v.nullable(Line), null);

/** An address as the post needs it. */
export const AddressInput = v.strictObject({
  recipient: MaybeLine,
  line1: Line,
  line2: MaybeLine,
  city: Line,
  region: MaybeLine,
  postcode: MaybeLine,
  country: v.pipe(v.string(), v.regex(/^[A-Z]{2}$/, "must be two capital letters, such as DE (ISO 3166-1)")),
});
const AddressJson = v.object({
  kind: v.picklist(ADDRESS_KINDS),
  recipient: v.nullable(v.string()),
  line1: v.string(),
  line2: v.nullable(v.string()),
  city: v.string(),
  region: v.nullable(v.string()),
  postcode: v.nullable(v.string()),
  country: v.string(),
  updatedAt: Time,
});

const PaymentMode = v.pipe(
  v.nullable(v.picklist(PAYMENT_MODES)),
  v.description("How the account pays; never with what: a card number is refused everywhere"),
);

export const ProfileChangeInput = v.strictObject({
  name: v.exactOptional(v.nullable(Name)),
  language: v.exactOptional(v.picklist(Object.keys(LANGUAGES))),
  units: v.exactOptional(v.picklist(UNITS)),
  timeZone: v.exactOptional(v.pipe(v.string(), v.maxLength(64), v.description("IANA name, such as Europe/Vienna"))),
  personalisation: v.exactOptional(v.boolean()),
  searchHistory: v.exactOptional(v.boolean()),
});
export const AccountChangeInput = v.strictObject({
  name: v.exactOptional(Name),
  paymentMode: v.exactOptional(PaymentMode),
  addresses: v.exactOptional(
    v.strictObject({
      shipping: v.exactOptional(v.nullable(AddressInput)),
      billing: v.exactOptional(v.nullable(AddressInput)),
    }),
  ),
});

const MeJson = v.object({
  user: v.object({
    id: Id,
    accountId: v.nullable(Id),
    role: v.string(),
    email: v.string(),
    emailVerified: v.boolean(),
    name: v.nullable(v.string()),
    mobile: v.nullable(v.string()),
    mobileVerified: v.boolean(),
    language: v.string(),
    units: v.picklist(UNITS),
    timeZone: v.string(),
    personalisation: v.boolean(),
    searchHistory: v.boolean(),
    createdAt: Time,
    lastSignInAt: MaybeTime,
    factors: v.object({ password: v.boolean(), totp: v.boolean(), passkey: v.boolean(), recoveryCodes: v.boolean() }),
    trainingValidUntil: MaybeTime,
  }),
  account: v.nullable(
    v.object({
      id: Id,
      name: v.string(),
      state: v.string(),
      stateReason: v.nullable(v.string()),
      createdAt: Time,
      region: v.pipe(v.string(), v.description("Where the tracks are")),
      database: v.string(),
      paymentMode: PaymentMode,
      addresses: v.array(AddressJson),
      accepted: v.array(v.object({ kind: v.string(), version: v.number(), language: v.string(), acceptedAt: Time })),
    }),
  ),
});

function meJson({ user, factors, account }: Profile): v.InferOutput<typeof MeJson> {
  const { id, accountId, role, email, name, mobile, language, units, timeZone } = user;
  return {
    user: {
      id,
      accountId,
      role,
      email,
      emailVerified: user.emailVerifiedAt !== null,
      name,
      mobile,
      mobileVerified: user.mobileVerifiedAt !== null,
      language,
      units,
      timeZone,
      personalisation: user.personalisation === 1,
      searchHistory: user.searchHistory === 1,
      createdAt: iso(user.createdAt),
      lastSignInAt: isoOrNull(user.lastSignInAt),
      factors,
      trainingValidUntil: isoOrNull(user.trainingValidUntil),
    },
    account: account && {
      id: account.id,
      name: account.name,
      state: account.state,
      stateReason: account.stateReason,
      createdAt: iso(account.createdAt),
      region: account.region,
      database: account.telemetry ?? "main",
      paymentMode: account.paymentMode,
      addresses: account.addresses.map(({ accountId: _, updatedAt, ...address }) => ({
        ...address,
        updatedAt: iso(updatedAt),
      })),
      accepted: account.accepted.map((row) => ({ ...row, acceptedAt: iso(row.acceptedAt) })),
    },
  };
}

const Column = v.object({ name: v.string(), class: v.string(), category: v.string() });
const HeldJson = v.object({
  tables: v.array(
    v.object({
      name: v.string(),
      of: v.picklist(["account", "user", "device"]),
      rows: v.pipe(v.number(), v.description(`Of what trackers sent, counted up to ${LIMITS.heldCount}`)),
      columns: v.array(Column),
      secret: v.pipe(v.array(Column), v.description("Stored, and never shown")),
      values: v.pipe(
        v.nullable(v.array(v.array(v.nullable(v.union([v.string(), v.number()]))))),
        v.description(`The newest ${LIMITS.heldRows} rows in the order of the columns; null: only counted`),
      ),
      oldest: MaybeTime,
      newest: MaybeTime,
    }),
  ),
  positions: v.pipe(v.array(v.looseObject({ deviceId: Id })), v.description("The newest position of each device")),
  sealed: v.pipe(v.number(), v.description("Devices whose newest position is sealed to the account's own keys")),
});

const heldJson = ({ tables, positions, sealed }: Held) => ({
  tables: tables.map(({ values, oldest, newest, ...table }) => ({
    ...table,
    values:
      values?.map((row) =>
        row.map((value, i) => (typeof value === "number" && isTime(table.columns[i]!.name) ? iso(value) : value)),
      ) ?? null,
    oldest: isoOrNull(oldest),
    newest: isoOrNull(newest),
  })),
  positions,
  sealed,
});

const RequirementsJson = v.object({
  services: v.array(v.object({ service: v.string(), needs: v.array(v.string()) })),
  fields: v.array(
    v.object({
      field: v.string(),
      category: v.string(),
      required: v.boolean(),
      requiredFor: v.array(v.string()),
      without: v.pipe(v.string(), v.description("What stops working without it, in the language that was asked for")),
    }),
  ),
});

const FoundJson = v.object({
  data: v.array(v.object({ id: Id, name: v.string(), imei: v.string(), model: v.nullable(v.string()) })),
});
const SearchesJson = v.object({ data: v.array(v.object({ id: Id, term: v.string(), searchedAt: Time })) });

const PersonalisationJson = v.object({
  on: v.boolean(),
  inputs: v.array(v.object({ input: v.string(), usedFor: v.string(), stored: v.number() })),
});

const tag = "Profile";
const done = { 204: { description: "Done" } };
const asked = { 202: { description: "A mail is on its way to the new address, unless it is somebody's already" } };

export const ME: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/services/requirements",
    access: "public",
    tag,
    summary: "What each service needs to know, and what stops without it",
    answers: { 200: { description: "Services and fields", schema: RequirementsJson } },
    handle: ({ c }) => {
      const { text } = languageFor(undefined, c.req.header("accept-language") ?? "");
      return c.json({
        services: (Object.keys(SERVICES) as Service[]).map((service) => ({ service, needs: SERVICES[service] })),
        fields: (Object.keys(GIVEN) as Given[]).map((field) => ({
          field,
          ...GIVEN[field],
          requiredFor: servicesOf(field),
          without: lossOf(field, text),
        })),
      });
    },
  }),
  route({
    method: "GET",
    path: "/v1/me",
    access: "person",
    tag,
    summary: "Read your profile and your account",
    description: "Payment mode and addresses of the account are shown to owners and managers.",
    answers: { 200: { description: "You, and your account", schema: MeJson } },
    handle: async ({ c, ctx }) => c.json(meJson(await profileOf(ctx))),
  }),
  route({
    method: "PATCH",
    path: "/v1/me",
    access: "person",
    right: true,
    tag,
    summary: "Correct your profile",
    description:
      "Only the fields that are given; null clears. A preference that is switched off takes its rows with it.",
    body: ProfileChangeInput,
    answers: { 200: { description: "You, as it is now", schema: MeJson } },
    handle: async ({ c, ctx, body }) => {
      await changeProfile(ctx, body);
      return c.json(meJson(await profileOf(ctx)));
    },
  }),
  route({
    method: "PATCH",
    path: "/v1/me/account",
    access: "owner",
    right: true,
    tag,
    summary: "Correct what is known of your account",
    description: "Only the fields that are given; null clears.",
    body: AccountChangeInput,
    answers: { 200: { description: "You, and your account as it is now", schema: MeJson } },
    handle: async ({ c, ctx, body }) => {
      await changeAccount(ctx, body);
      return c.json(meJson(await profileOf(ctx)));
    },
  }),
  route({
    method: "POST",
    path: "/v1/me/email",
    access: "person",
    right: true,
    stepUp: true,
    tag,
    summary: "Ask for another e-mail address",
    description: "Nothing changes until the link that is sent to the new address is confirmed.",
    body: v.strictObject({ email: v.pipe(v.string(), v.maxLength(LIMITS.emailCharacters)) }),
    answers: asked,
    handle: async ({ c, ctx, body }) => {
      await askForEmail(ctx, body.email);
      return c.body(null, 202);
    },
  }),
  route({
    method: "POST",
    path: "/v1/me/email/confirm",
    access: "person",
    right: true,
    tag,
    summary: "Confirm the new e-mail address with the token of its link",
    description: "By the person who asked for it. The old address is told.",
    body: v.strictObject({ token: v.pipe(v.string(), v.maxLength(100)) }),
    answers: done,
    handle: async ({ c, ctx, body }) => {
      await confirmEmail(ctx, body.token);
      return c.body(null, 204);
    },
  }),
  route({
    method: "POST",
    path: "/v1/me/mobile",
    access: "person",
    right: true,
    stepUp: true,
    tag,
    summary: "Change or clear your mobile number",
    description: "No SMS is sent, so the number stays unconfirmed and opens nothing. Your e-mail address is told.",
    body: v.strictObject({
      mobile: v.pipe(v.nullable(v.pipe(v.string(), v.maxLength(40))), v.examples(["+43 660 0000000"])),
    }),
    answers: done,
    handle: async ({ c, ctx, body }) => {
      await changeMobile(ctx, body.mobile);
      return c.body(null, 204);
    },
  }),
  route({
    method: "GET",
    path: "/v1/me/held",
    access: "person",
    tag,
    summary: "Read everything that is held about you",
    description:
      "Derived from the data map of the database. Owners and managers see what is held about the account, others what is about them and their devices.",
    answers: { 200: { description: "Table by table, and the newest positions", schema: HeldJson } },
    handle: async ({ c, ctx }) => c.json(heldJson(await held(ctx))),
  }),
  route({
    method: "GET",
    path: "/v1/me/personalisation",
    access: "customer",
    tag,
    summary: "What personalisation uses, and for what",
    answers: { 200: { description: "Every input that there is", schema: PersonalisationJson } },
    handle: async ({ c, ctx }) => {
      const on = (await profileOf(ctx)).user.personalisation === 1;
      const stored = (await recentDevices(ctx)).length;
      return c.json({
        on,
        inputs: [{ input: "devices that you opened", usedFor: "the list of recent devices", stored }],
      });
    },
  }),
  route({
    method: "POST",
    path: "/v1/searches",
    access: "customer",
    right: true,
    tag,
    summary: "Find devices by a part of their name or IMEI",
    description: "The term is kept only if you switched your search history on.",
    body: v.strictObject({ term: v.pipe(v.string(), v.maxLength(LIMITS.searchCharacters)) }),
    answers: { 200: { description: `Devices by name, ${LIMITS.searchFinds} at most`, schema: FoundJson } },
    handle: async ({ c, ctx, body }) => c.json({ data: await search(ctx, body.term) }),
  }),
  route({
    method: "GET",
    path: "/v1/me/searches",
    access: "customer",
    tag,
    summary: "List what you looked for",
    answers: { 200: { description: "Newest first; kept for 30 days", schema: SearchesJson } },
    handle: async ({ c, ctx }) =>
      c.json({ data: (await listSearches(ctx)).map((row) => ({ ...row, searchedAt: iso(row.searchedAt) })) }),
  }),
  route({
    method: "DELETE",
    path: "/v1/me/searches",
    access: "customer",
    right: true,
    tag,
    summary: "Delete what you looked for",
    answers: done,
    handle: async ({ c, ctx }) => {
      await forgetSearches(ctx);
      return c.body(null, 204);
    },
  }),
];
