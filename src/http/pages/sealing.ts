import type { Ctx } from "../../context.ts";
import { addCustomerKey, checkOfKey, listCustomerKeys, revokeCustomerKey } from "../../customer-keys.ts";
import { listDevices } from "../../devices.ts";
import { AppError } from "../../errors.ts";
import { newSealingKeyPage, openSealedPage, sealingPage } from "../../web/sealing.ts";
import { page, typed } from "../page.ts";
import type { Route } from "../route.ts";
import { NewSealingKey } from "../sealing-keys.ts";
import { parse } from "../validate.ts";

/** Trackers that one can choose from. */
const LISTED = 1000;

const isOwner = ({ principal }: Ctx) => principal.kind === "user" && principal.role === "owner";

export const SEALING_PAGES: readonly Route[] = [
  page({
    path: "/profile/sealing",
    access: "customer",
    right: true,
    summary: "Sealing positions to a key of the account's own",
    show: async ({ ctx, view, query }) => {
      const keys = await listCustomerKeys(ctx);
      const shown = await Promise.all(keys.map(async (key) => ({ ...key, check: await checkOfKey(key) })));
      return sealingPage(view, { keys: shown, mayChange: isOwner(ctx), done: query.done });
    },
    acts: {
      revoke: async ({ ctx, form }) => {
        if (!isOwner(ctx)) throw new AppError("forbidden", "Only the account's owner can change this");
        await revokeCustomerKey(ctx, Number(typed(form, "id")) || 0);
        return "/profile/sealing?done=sealingRevoked";
      },
    },
  }),
  page({
    path: "/profile/sealing/open",
    access: "customer",
    summary: "Open sealed positions in the browser, with the file of one's key",
    show: async ({ ctx, view }) => openSealedPage(view, await listDevices(ctx, 0, LISTED)),
  }),
  page({
    path: "/profile/sealing/new",
    access: "owner",
    stepUp: true,
    summary: "Register a sealing key",
    show: async ({ ctx, view, form, problems }) => {
      const used = (await listCustomerKeys(ctx)).filter(({ revokedAt }) => revokedAt === null);
      return newSealingKeyPage(
        view,
        used.map(({ kind }) => kind),
        { form, problems },
      );
    },
    acts: {
      register: async ({ ctx, form }) => {
        const [kind, publicKey, check] = ["kind", "publicKey", "check"].map((name) => typed(form, name));
        const lostKeyIsFinal = typed(form, "lostKeyIsFinal") === "on";
        await addCustomerKey(ctx, parse(NewSealingKey, { kind, publicKey, check, lostKeyIsFinal }));
        return "/profile/sealing?done=sealingAdded";
      },
    },
  }),
].flat();
