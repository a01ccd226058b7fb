import type { Ctx, UserPrincipal } from "./context.ts";
import type { ErasureScope } from "./erasure-scope.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { devicesAmong } from "./store/members.ts";
import { DATA_MAP, describe, type Mapped } from "./store/personal.ts";
import type { RequestType } from "./store/schema.ts";

export { REQUEST_STATES, REQUEST_TYPES, type RequestState, type RequestType } from "./store/schema.ts";

export const SCOPE_KINDS = ["account", "devices", "range", "tracks", "categories", "fields"] as const;

/**
 * Categories of what is held of a person that may be missing from an account that lives. Devices and positions have
 * scopes of their own, and without what is of category account there is none.
 */
export const OWN_CATEGORIES = ["profile", "log", "other"] as const;

/**
 * Fields that may be empty in an account that lives, by the data map, and who may have them emptied; what must be there is
 * corrected.
 */
export const OWN_FIELDS: Readonly<Record<string, "anybody" | "owner">> = Object.fromEntries(
  Object.entries(DATA_MAP as Mapped)
    .filter(([, { of }]) => of === "user" || of === "account")
    .flatMap(([table, { of, columns }]) =>
      Object.entries(columns)
        .filter(([, entry]) => describe(entry).emptiable)
        .map(([column]) => [`${table}.${column}`, of === "user" ? "anybody" : "owner"]),
    ),
);

/** What a request is about. */
export const scopeOf = ({ scope }: { scope: string }): ErasureScope => JSON.parse(scope) as ErasureScope;

const refuse = (field: string, why: string) => new AppError("invalid", `${field} ${why}`, { field });
const unlike = (why: string) => new AppError("forbidden", why, { field: "scope" });

/**
 * What a person may ask for with a request of this type, in a form in which the same is always the same text.
 * @throws {AppError} invalid, forbidden; names the field. A device of another account is as one that there is not
 */
export async function checkScope(
  ctx: Pick<Ctx, "db" | "now">,
  who: Pick<UserPrincipal, "accountId" | "role" | "devices" | "editable">,
  type: RequestType,
  scope: ErasureScope,
): Promise<ErasureScope> {
  const reads = type === "access" || type === "export";
  requireRestrictable(type, scope);
  switch (scope.kind) {
    case "account":
      if (!reads && who.role !== "owner") {
        throw unlike("Only the account's owner can ask this for the whole account; you can ask it for what is yours");
      }
      return { kind: "account" };
    case "tracks":
      if (!reads && (who.role !== "owner" || who.devices !== null)) {
        throw unlike("Only the account's owner can ask this for the positions of all devices");
      }
      return { kind: "tracks" };
    case "devices": {
      const devices = [...new Set(scope.devices)].toSorted((a, b) => a - b);
      if (devices.length === 0) throw refuse("scope.devices", "must name at least one device");
      await requireDevices(ctx, who, reads, devices, "scope.devices");
      return { kind: "devices", devices };
    }
    case "range": {
      const { device, from, to } = scope;
      if (from >= to) throw refuse("scope.to", "must be after scope.from");
      if (from > ctx.now()) throw refuse("scope.from", "must not be in the future");
      await requireDevices(ctx, who, reads, [device], "scope.device");
      return { kind: "range", device, from, to };
    }
    case "categories": {
      const own = OWN_CATEGORIES.filter((name) => (scope.categories as readonly string[]).includes(name));
      if (own.length === 0) throw refuse("scope.categories", `must be of ${OWN_CATEGORIES.join(", ")}`);
      if (own.length !== new Set(scope.categories).size) {
        throw refuse(
          "scope.categories",
          `must be of ${OWN_CATEGORIES.join(", ")}: positions and devices are asked for as tracks, range or devices`,
        );
      }
      return { kind: "categories", categories: [...own] };
    }
    case "fields": {
      const fields = Object.keys(OWN_FIELDS).filter((name) => scope.fields.includes(name));
      if (scope.fields.length === 0) throw refuse("scope.fields", "must name at least one field");
      if (fields.length !== new Set(scope.fields).size) {
        throw refuse("scope.fields", `must be of ${Object.keys(OWN_FIELDS).join(", ")}`);
      }
      if (who.role !== "owner" && fields.some((name) => OWN_FIELDS[name] === "owner")) {
        throw unlike("Only the account's owner can ask this for what is the account's");
      }
      return { kind: "fields", fields };
    }
  }
}

/** What a restriction suspends; one cannot object to a stretch alone either. */
const SUSPENDS: readonly ErasureScope["kind"][] = ["account", "tracks", "devices"];

/** Refuses what cannot be suspended, whoever asks. @throws {AppError} invalid */
export function requireRestrictable(type: RequestType, { kind }: ErasureScope): void {
  if (type === "restrict" && !SUSPENDS.includes(kind)) {
    throw refuse("scope.kind", "must be account, tracks or devices: nothing else can be left unused alone");
  }
  if (type === "object" && kind === "range") {
    throw refuse("scope.kind", "must not be range: object to the use of a device, or have the stretch erased");
  }
}

/** Refuses devices that are not there for the caller or, unless they only ask to see, that they may not change. */
async function requireDevices(
  { db }: Pick<Ctx, "db">,
  { accountId, role, devices, editable }: Pick<UserPrincipal, "accountId" | "role" | "devices" | "editable">,
  reads: boolean,
  ids: readonly number[],
  field: string,
): Promise<void> {
  if (ids.length > LIMITS.devicesPerLimit) throw refuse(field, `must name at most ${LIMITS.devicesPerLimit} devices`);
  const seen = ids.every((id) => devices === null || devices.includes(id));
  if (!seen || (await devicesAmong(db, accountId, ids)).length < ids.length) {
    throw refuse(field, "must name devices that are yours");
  }
  if (reads) return;
  if (role === "viewer") throw unlike("Viewers can ask this for what is held about themselves only");
  if (ids.some((id) => editable !== null && !editable.includes(id))) {
    throw unlike("You may see this device and not change it");
  }
}
