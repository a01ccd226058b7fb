import * as v from "valibot";
import { AppError } from "../errors.ts";
import { healthOf } from "../health.ts";
import { type Route, route } from "./route.ts";

const HealthJson = v.object({
  status: v.literal("ok"),
  warnings: v.optional(
    v.pipe(
      v.array(v.picklist(["retention", "broken", "calendar", "holds"])),
      v.description(
        "What somebody should look at: retention has not ended well for two hours; what is stored of tracks does not open; the calendar of working days ends in less than 60 days; an order that keeps something from being erased was not reviewed in time",
      ),
    ),
  ),
});

export const HEALTH: readonly Route[] = [
  route({
    method: "GET",
    path: "/healthz",
    access: "public",
    unlimited: true,
    tag: "Service",
    summary: "Ask whether the service can answer",
    description: "503 with the reason in `detail` when the database does not answer or lacks a migration.",
    answers: { 200: { description: "It can", schema: HealthJson } },
    handle: async ({ c, ctx }) => {
      const { reason, warnings } = await healthOf(ctx);
      if (reason !== null) throw new AppError("unavailable", reason, { retryAfterS: 5 });
      return c.json({ status: "ok", ...(warnings.length > 0 && { warnings }) });
    },
  }),
];
