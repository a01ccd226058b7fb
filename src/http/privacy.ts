import { settingsOf } from "../settings.ts";
import { DOCS_FILES } from "./docs.ts";
import { type Route, route } from "./route.ts";

/** What is done with personal data here, for machines. All but the settings is made by the build: src/http/files.ts. */
export const PRIVACY: readonly Route[] = [
  route({
    method: "GET",
    path: "/.well-known/privacy.json",
    access: "public",
    tag: "Service",
    summary: "Read what is done with personal data, why, how long, and who gets to see it",
    answers: { 200: { description: "Activities with their words", media: { "application/json": null } } },
    handle: async ({ c, ctx }) => {
      const { operatorName, contactEmail } = await settingsOf(ctx);
      const document = JSON.parse((await c.env.asset(DOCS_FILES.privacy)) ?? "{}") as object;
      const contact = contactEmail === "" ? null : contactEmail;
      const { retentionMonths } = c.env.config;
      return c.json({ operator: operatorName, contact, retentionMonths, ...document });
    },
  }),
];
