import * as v from "valibot";
import {
  type Activation,
  labelText,
  listActivations,
  loadActivations,
  loadActivationsCsv,
  removeActivation,
} from "../activation.ts";
import { AppError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { qrSvg } from "../web/qr.ts";
import { readBody } from "./body.ts";
import { Code, Imei } from "./devices.ts";
import { Id, iso, isoOrNull, ListQuery, listOf, MaybeTime, page, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";

const Text = (description: string) =>
  v.nullable(v.pipe(v.string(), v.maxLength(LIMITS.nameCharacters), v.description(description)));

const Sold = v.strictObject({
  imei: Imei,
  model: v.exactOptional(v.nullable(v.string())),
  firmware: v.exactOptional(Text("Version of the firmware that it was sold with")),
  orderReference: v.exactOptional(Text("The order that it was sold with")),
  code: v.exactOptional(v.nullable(Code)),
});

const NewActivations = v.strictObject({
  devices: v.pipe(v.array(Sold), v.minLength(1), v.maxLength(LIMITS.activationsPerRequest)),
});

const Loaded = v.object({
  data: v.array(
    v.object({
      imei: v.string(),
      code: v.pipe(v.nullable(v.string()), v.description("Shown this once only; null where the list had one")),
    }),
  ),
});

const ActivationJson = v.object({
  imei: v.string(),
  model: v.nullable(v.string()),
  firmware: v.nullable(v.string()),
  orderReference: v.nullable(v.string()),
  loadedAt: Time,
  activatedAt: MaybeTime,
  accountId: v.nullable(Id),
});

function activationJson(row: Activation): v.InferOutput<typeof ActivationJson> {
  const { imei, model, firmware, orderReference, accountId } = row;
  const times = { loadedAt: iso(row.loadedAt), activatedAt: isoOrNull(row.activatedAt) };
  return { imei, model, firmware, orderReference, ...times, accountId };
}

const access = "support";
const tag = "Activation";
const loaded = { description: "The trackers, with the codes that were made", schema: Loaded };
const again =
  "A missing code is made. A tracker that is loaded again gets a new code, and can be activated once more as soon as no " +
  "account has it.";

/** The trackers that were sold. An IMEI is personal data: it is in bodies, never in a path. */
export const ACTIVATION: readonly Route[] = [
  route({
    method: "POST",
    path: "/v1/admin/activations",
    access,
    tag,
    summary: "Load trackers that were sold",
    description: `${again} A list that is too large as JSON goes as CSV.`,
    body: NewActivations,
    answers: { 201: loaded },
    handle: async ({ c, ctx, body }) => c.json({ data: await loadActivations(ctx, body.devices) }, 201),
  }),
  route({
    method: "POST",
    path: "/v1/admin/activations/csv",
    access,
    tag,
    summary: "Load trackers that were sold, from CSV",
    description: `The first line names the columns: imei, and any of model, firmware, order, code. ${again}`,
    binary: {
      mediaType: "text/csv",
      maxBytes: LIMITS.activationCsvBytes,
      description: `At most ${LIMITS.activationsPerRequest} trackers, one a line, in UTF-8`,
    },
    answers: { 201: loaded },
    handle: async ({ c, ctx }) => {
      const bytes = await readBody(c.req.raw, LIMITS.activationCsvBytes);
      let text: string;
      try {
        text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
      } catch {
        throw new AppError("invalid", "The list is not text in UTF-8");
      }
      return c.json({ data: await loadActivationsCsv(ctx, text) }, 201);
    },
  }),
  route({
    method: "GET",
    path: "/v1/admin/activations",
    access,
    tag,
    summary: "List the trackers that were sold",
    description: "Never their codes.",
    query: ListQuery,
    answers: { 200: { description: "One page of trackers", schema: listOf(ActivationJson) } },
    handle: async ({ c, ctx, query }) =>
      c.json(page(await listActivations(ctx, query.cursor ?? 0, query.limit + 1), query.limit, activationJson)),
  }),
  route({
    method: "POST",
    path: "/v1/admin/activations/remove",
    access,
    tag,
    summary: "Take a tracker from the list",
    description: "Its code no longer works. A device that was made with it stays.",
    body: v.strictObject({ imei: Imei }),
    answers: { 204: { description: "It is no longer in the list" } },
    handle: async ({ c, ctx, body }) => {
      await removeActivation(ctx, body.imei);
      return c.body(null, 204);
    },
  }),
  route({
    method: "POST",
    path: "/v1/admin/activations/label",
    access,
    tag,
    summary: "Draw the QR code of a box label",
    description: "Plain text, IMEI and code, a line each; nothing is stored.",
    body: v.strictObject({ imei: Imei, code: Code }),
    answers: { 200: { description: "The drawing", media: { "image/svg+xml": null } } },
    handle: ({ body }) =>
      new Response(qrSvg(labelText(body.imei, body.code)), { headers: { "Content-Type": "image/svg+xml" } }),
  }),
];
