import { Buffer } from "node:buffer";
import { setTimeout as sleep } from "node:timers/promises";
import { type Answer, type Exchange, type Fault, pass } from "./proxy.ts";
import type { Random } from "./random.ts";

const text = (status: number, headers: Record<string, string> = {}): Answer => ({
  status,
  headers: { "content-type": "text/plain", ...headers },
  body: Buffer.from(`injected ${status}`),
});

/** An upstream that is gone answers nothing; what the fault wanted to do with the answer is moot. */
async function forwarded(exchange: Exchange): Promise<Answer | null> {
  try {
    return await exchange.forward();
  } catch {
    exchange.drop();
    return null;
  }
}

/** Never reaches the upstream: answers one of these codes. */
export function failing(statuses: readonly number[], random: Random): Fault {
  return async (exchange) => {
    const status = random.pick(statuses);
    exchange.note(String(status));
    exchange.answer(text(status));
  };
}

/** 429 with Retry-After, in seconds or as a date. */
export function rateLimited(seconds: number, form: "seconds" | "date"): Fault {
  return async (exchange) => {
    exchange.note("429");
    const value = form === "seconds" ? String(seconds) : new Date(Date.now() + seconds * 1000).toUTCString();
    exchange.answer(text(429, { "retry-after": value }));
  };
}

/** Refuses each batch that holds one of these byte strings; others pass. */
export function poisoned(needles: readonly Buffer[], random: Random): Fault {
  return async (exchange) => {
    if (!needles.some((needle) => exchange.body.includes(needle))) return pass(exchange);
    const status = random.pick([400, 413]);
    exchange.note(`poison ${status}`);
    exchange.answer(text(status));
  };
}

/** 413 for a body above the limit, as an edge with less memory says it. */
export function tooLarge(limitBytes: number): Fault {
  return async (exchange) => {
    if (exchange.body.length <= limitBytes) return pass(exchange);
    exchange.note("413");
    exchange.answer(text(413));
  };
}

/** The batch is committed, the sender never learns it. `lost` hears of each such batch. */
export function commitThenDrop(probability: number, random: Random, lost: (body: Buffer) => void): Fault {
  return async (exchange) => {
    if (!random.chance(probability)) return pass(exchange);
    const half = random.chance(0.5);
    const answer = await forwarded(exchange);
    if (answer === null) return;
    exchange.note(half ? "half" : "dropped");
    if (answer.status === 200) lost(exchange.body);
    if (half) exchange.answerHalf(answer);
    else exchange.drop();
  };
}

/** Each request reaches the upstream this many times at once; the sender gets the answer that came last. */
export function repeated(times: number, compare: (answers: readonly Answer[]) => void): Fault {
  return async (exchange) => {
    exchange.note(`x${times}`);
    const answers = await Promise.allSettled(Array.from({ length: times }, () => exchange.forward()));
    const arrived = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
    const accepted = arrived.filter((answer) => answer.status === 200);
    compare(accepted);
    const last = accepted.at(-1) ?? arrived.at(-1);
    if (last === undefined) exchange.drop();
    else exchange.answer(last);
  };
}

/** Slow, silent or cut in the middle, each with its share. */
export function sluggish(random: Random, delayMs: number, hangMs: number): Fault {
  return async (exchange) => {
    const what = random.pick(["delay", "hang", "half", "pass"] as const);
    exchange.note(what);
    if (what === "delay") await sleep(random.int(0, delayMs));
    if (what === "hang") {
      await sleep(hangMs);
      exchange.drop();
      return;
    }
    if (what !== "half") return pass(exchange);
    const answer = await forwarded(exchange);
    if (answer !== null) exchange.answerHalf(answer);
  };
}

/** Runs an action while each n-th request is on its way to the upstream, then lets it come back. */
export function during(everyNth: number, action: () => Promise<void>): Fault {
  let count = 0;
  return async (exchange) => {
    if (exchange.method !== "POST" || ++count % everyNth !== 0) return pass(exchange);
    const answer = forwarded(exchange);
    await action();
    const arrived = await answer;
    if (arrived !== null) exchange.answer(arrived);
  };
}
