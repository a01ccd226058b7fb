import { ASSETS, fingerprinted } from "../../../../src/web/assets.ts";
import { ANYONE, type Rows } from "./row.ts";

export const WEB_ROWS: Rows = {
  "GET /assets/{name}": {
    who: ANYONE,
    path: () => `/assets/${fingerprinted("style.css", ASSETS["style.css"]!.text)}`,
    status: 200,
  },
};
