import type { Ctx } from "../../context.ts";
import { createExport, exportOf, exportsOf, revokeExport } from "../../exports.ts";
import { type ExportsContent, exportsPage } from "../../web/exports.ts";
import { page, typed } from "../page.ts";
import type { Route } from "../route.ts";

/** The link's path: the page is on the same host, whatever a mail would say. */
async function made(ctx: Ctx): Promise<NonNullable<ExportsContent["made"]>> {
  const { url, expiresAt } = await createExport(ctx);
  return { path: new URL(url).pathname, expiresAt };
}

export const EXPORT_PAGES: readonly Route[] = page({
  path: "/profile/export",
  access: "customer",
  right: true,
  summary: "Download everything that is held about you",
  show: async ({ ctx, view, query, problems, result }) => {
    const content = { ...(await exportsOf(ctx)), made: result as ExportsContent["made"] };
    return exportsPage(view, content, { problems, done: query.done });
  },
  acts: {
    make: async ({ ctx }) => ({ show: await made(ctx) }),
    revoke: async ({ ctx, form }) => {
      const { id } = await exportOf(ctx, Number(typed(form, "id")) || 0);
      await revokeExport(ctx, id);
      return "/profile/export?done=exportRevoked";
    },
  },
});
