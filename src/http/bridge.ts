import { ENVELOPE_LIMITS } from "../../codec/envelope.ts";
import { CodecError } from "../../codec/errors.ts";
import { AppError } from "../errors.ts";
import { ingest } from "../ingest.ts";
import { noteBridge } from "../overview.ts";
import { readBody } from "./body.ts";
import { type Route, route } from "./route.ts";

const mediaType = "application/octet-stream";

export const BRIDGE: readonly Route[] = [
  route({
    method: "POST",
    path: "/v1/bridge/frames",
    access: "bridge",
    tag: "Bridge",
    summary: "Deliver a batch of frames",
    description:
      "Answers when all of them are stored, with an outcome per frame and the bytes to write to the trackers.",
    binary: {
      mediaType,
      maxBytes: ENVELOPE_LIMITS.bodyBytes,
      description: "The bridge's envelope: frames, claims of queued commands and releases",
    },
    answers: { 200: { description: "Outcomes, replies and commands", media: { [mediaType]: null } } },
    handle: async ({ c, ctx }) => {
      const body = await readBody(c.req.raw, ENVELOPE_LIMITS.bodyBytes);
      const bridgeId = ctx.principal.kind === "bridge" ? ctx.principal.bridgeId : 0;
      let answer: Uint8Array;
      try {
        answer = await ingest(ctx, bridgeId, body);
      } catch (error) {
        if (error instanceof CodecError) throw new AppError("invalid", error.message);
        throw error;
      }
      noteBridge(ctx, bridgeId);
      return new Response(answer as Uint8Array<ArrayBuffer>, { headers: { "Content-Type": mediaType } });
    },
  }),
];
