import { latin1 } from "../codec/bytes.ts";
import { commandOf, matchReply, parseReply, type Uplink } from "../codec/commands.ts";
import type { Base } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { type Answer, type SentCommand, sentCommands } from "./store/commands.ts";
import { clearingSent } from "./store/tracker-erasure.ts";

/** An uplink that may answer a command. */
export interface Candidate {
  /** Null: of a tracker that was erased, which may still be asked for an answer. */
  deviceId: number | null;
  uplink: Uplink;
  /** Event codes of its positions that answer commands. */
  events: readonly number[];
  /** Unix ms */
  receivedAt: number;
}

/** Events by which a position answers a command: 34 for A10. */
export const REPLY_EVENT = 34;

type Match = "identifier" | "order" | null;

function match(command: SentCommand, { uplink, events, receivedAt }: Candidate): Match {
  // A reply that was uploaded late belongs to a command before this one.
  if (receivedAt < command.sentAt - LIMITS.replySkewMs) return null;
  const replyEvent = commandOf(command.code)?.replyEvent;
  if (replyEvent !== undefined) {
    if (!events.includes(replyEvent)) return null;
    return command.identifier === uplink.identifier ? "identifier" : "order";
  }
  return matchReply({ imei: uplink.imei, identifier: command.identifier, code: command.code }, uplink);
}

/** A reply as text for its reader; that of a position is the position itself. */
function replyText({ uplink, events }: Candidate): string | null {
  if (events.length > 0) return null;
  const text = latin1(uplink.content, 0, Math.min(uplink.content.length, LIMITS.commandReplyCharacters));
  return text.replace(/[^\x20-\x7e]/g, "?");
}

/**
 * Finds the sent commands that these uplinks answer: by identifier and code, else the oldest of the code (some
 * trackers answer with an identifier of their own). Costs a read; call it only when there are candidates.
 * Source: meitrack.md 15-20.
 */
export async function answersOf(ctx: Base, candidates: readonly Candidate[]): Promise<Answer[]> {
  const since = ctx.now() - LIMITS.commandReplyMs;
  const deviceIds = new Set(candidates.flatMap(({ deviceId }) => deviceId ?? []));
  const imeis = new Set(candidates.flatMap(({ deviceId, uplink }) => (deviceId === null ? uplink.imei : [])));
  const sent: (SentCommand & { imei?: string })[] =
    deviceIds.size === 0 ? [] : await sentCommands(ctx.db, [...deviceIds], since);
  if (imeis.size > 0) sent.push(...(await clearingSent(ctx.db, [...imeis], since)));
  const answers: Answer[] = [];
  const waiting = new Set(sent);
  for (const candidate of candidates) {
    const { deviceId, uplink } = candidate;
    let best: SentCommand | undefined;
    let certain = false;
    for (const command of waiting) {
      if (deviceId === null ? command.imei !== uplink.imei : command.deviceId !== deviceId) continue;
      const how = match(command, candidate);
      if (how === null) continue;
      if (how === "order" && best !== undefined) continue;
      best = command;
      certain = how === "identifier";
      if (certain) break;
    }
    if (best === undefined) continue;
    waiting.delete(best);
    const refused = candidate.events.length === 0 && parseReply(candidate.uplink).outcome === "error";
    answers.push({
      id: best.id,
      deviceId: best.deviceId,
      accountId: best.accountId,
      state: refused ? "refused" : "acked",
      answeredAt: candidate.receivedAt,
      reply: deviceId === null ? null : replyText(candidate),
      certain,
    });
  }
  return answers;
}
