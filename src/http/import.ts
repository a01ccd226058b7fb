import * as v from "valibot";
import { importAccount, importPositions } from "../import.ts";
import { LIMITS } from "../limits.ts";
import { ADDRESS_KINDS } from "../profile.ts";
import { readBody } from "./body.ts";
import { Id, Name, PathId, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";

const text = v.nullable(v.pipe(v.string(), v.maxLength(LIMITS.addressCharacters)));
const line = v.pipe(v.string(), v.maxLength(LIMITS.addressCharacters));
const days = v.nullable(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(LIMITS.retentionDaysMax)));
const when = v.pipe(
  Time,
  v.transform((time) => Date.parse(time)),
);

const ImportInput = v.strictObject({
  groups: v.pipe(
    v.array(v.strictObject({ name: Name, retentionDays: days, createdAt: when })),
    v.maxLength(LIMITS.groupsPerAccount),
  ),
  devices: v.pipe(
    v.array(
      v.strictObject({
        imei: v.pipe(v.string(), v.maxLength(15)),
        name: Name,
        model: v.nullable(v.pipe(v.string(), v.maxLength(40))),
        clockOffsetMinutes: v.pipe(
          v.number(),
          v.integer(),
          v.minValue(LIMITS.clockOffsetMinMinutes),
          v.maxValue(LIMITS.clockOffsetMaxMinutes),
        ),
        confirmCce: v.picklist([0, 1]),
        createdAt: when,
        retentionDays: days,
        group: v.pipe(v.nullable(v.pipe(v.number(), v.integer(), v.minValue(0))), v.description("Which of the groups")),
      }),
    ),
    v.maxLength(LIMITS.importDevices),
  ),
  addresses: v.pipe(
    v.array(
      v.strictObject({
        kind: v.picklist(ADDRESS_KINDS),
        recipient: text,
        line1: line,
        line2: text,
        city: line,
        region: text,
        postcode: text,
        country: v.pipe(v.string(), v.regex(/^[A-Z]{2}$/)),
        updatedAt: when,
      }),
    ),
    v.maxLength(ADDRESS_KINDS.length),
  ),
});

const tag = "Administration";

export const IMPORT: readonly Route[] = [
  route({
    method: "POST",
    path: "/v1/admin/accounts/{id}/imports",
    access: "admin",
    tag,
    summary: "Import devices, groups and addresses of an export into an empty account",
    description: "npm run -s admin -- import reads an export and asks this, then for the positions.",
    params: v.object({ id: PathId }),
    body: ImportInput,
    jsonBytes: LIMITS.importBytes,
    answers: {
      201: { description: "Ids of the devices, in their order", schema: v.object({ devices: v.array(Id) }) },
    },
    handle: async ({ c, ctx, params, body }) => c.json({ devices: await importAccount(ctx, params.id, body) }, 201),
  }),
  route({
    method: "POST",
    path: "/v1/admin/accounts/{id}/imports/{device}",
    access: "admin",
    tag,
    summary: "Import positions of a device",
    params: v.object({ id: PathId, device: PathId }),
    binary: {
      mediaType: "application/vnd.ephemeris.positions",
      maxBytes: LIMITS.importBytes,
      description: "Of a file that ends in .blocks, so many whole blocks",
    },
    answers: {
      200: {
        description: "How many were stored, and how many are past their period",
        schema: v.object({ stored: v.number(), past: v.number() }),
      },
    },
    handle: async ({ c, ctx, params }) => {
      const body = await readBody(c.req.raw, LIMITS.importBytes);
      return c.json(await importPositions(ctx, params.id, params.device, body));
    },
  }),
];
