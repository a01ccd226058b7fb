import * as v from "valibot";
import { MODELS as TABLE } from "../../codec/models.ts";
import { listOf } from "./fields.ts";
import { type Route, route } from "./route.ts";

export const ModelJson = v.object({
  name: v.string(),
  voltages: v.pipe(v.string(), v.description("How its reports count volts")),
});

export const MODELS: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/models",
    access: "read",
    tag: "Devices",
    summary: "List the tracker models that are known",
    answers: { 200: { description: "The model table", schema: listOf(ModelJson) } },
    handle: ({ c }) => c.json({ data: TABLE.map(({ name, scale }) => ({ name, voltages: scale })), nextCursor: null }),
  }),
];
