import * as v from "valibot";
import { AppError } from "../errors.ts";
import { unhealthyReason } from "../health.ts";
import { type Route, route } from "./route.ts";

const HealthJson = v.object({ status: v.literal("ok") });

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
      const reason = await unhealthyReason(ctx);
      if (reason !== null) throw new AppError("unavailable", reason, { retryAfterS: 5 });
      return c.json({ status: "ok" });
    },
  }),
];
