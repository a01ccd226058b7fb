import * as v from "valibot";
import { AppError } from "../errors.ts";
import { assetNamed } from "../web/assets.ts";
import { type Route, route } from "./route.ts";

/** The files that pages load. Their names change with what is in them, so a browser keeps them. */
export const ASSET_ROUTES: readonly Route[] = [
  route({
    method: "GET",
    path: "/assets/{name}",
    access: "public",
    tag: "Pages",
    page: true,
    summary: "A file that pages load",
    params: v.object({ name: v.pipe(v.string(), v.maxLength(80)) }),
    unlimited: true,
    answers: {
      200: { description: "The file", media: { "text/css": null, "text/javascript": null, "image/svg+xml": null } },
    },
    handle: ({ c, params }) => {
      const asset = assetNamed(params.name);
      if (asset === null) throw new AppError("not_found", "No such file");
      return c.body(asset.text, 200, {
        "Content-Type": asset.mediaType,
        "Cache-Control": "public, max-age=31536000, immutable",
      });
    },
  }),
];
