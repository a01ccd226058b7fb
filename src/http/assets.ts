import * as v from "valibot";
import type { Base } from "../context.ts";
import { AppError } from "../errors.ts";
import { type Route, route } from "./route.ts";

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

const manifests = new WeakMap<Base["config"], Readonly<Record<string, string>>>();

/** Where pages find the files that they load; read once per isolate. */
export async function assetPaths(base: Base): Promise<(name: string) => string> {
  let manifest = manifests.get(base.config);
  if (manifest === undefined) {
    manifest = JSON.parse((await base.asset("manifest.json")) ?? "{}") as Record<string, string>;
    manifests.set(base.config, manifest);
  }
  const names = manifest;
  return (name) => `/assets/${names[name] ?? name}`;
}

/** The files that pages load. Their names change with what is in them, so a browser keeps them. */
export const ASSET_ROUTES: readonly Route[] = [
  route({
    method: "GET",
    path: "/assets/{name}",
    access: "public",
    tag: "Pages",
    page: true,
    summary: "A file that pages load",
    params: v.object({ name: v.pipe(v.string(), v.regex(/^[\w-]+\.[0-9a-f]{8}\.(css|js|svg)$/)) }),
    unlimited: true,
    answers: {
      200: { description: "The file", media: { "text/css": null, "text/javascript": null, "image/svg+xml": null } },
    },
    handle: async ({ c, params }) => {
      const text = await c.env.asset(params.name);
      if (text === null) throw new AppError("not_found", "No such file");
      return c.body(text, 200, {
        "Content-Type": MEDIA_TYPES[params.name.split(".").at(-1) ?? ""] ?? "text/plain",
        "Cache-Control": "public, max-age=31536000, immutable",
      });
    },
  }),
];
