import { assetPath } from "../../../../src/web/assets.ts";
import { ANYONE, type Rows } from "./row.ts";

export const WEB_ROWS: Rows = {
  "GET /assets/{name}": { who: ANYONE, path: () => assetPath("style.css"), status: 200 },
};
