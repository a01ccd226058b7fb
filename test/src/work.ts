import type { Ctx } from "../../src/context.ts";
import { linkTo } from "../../src/mail.ts";

/**
 * What an act does until its answer: its statements and what it hashes, in order, for a comparison of two callers who
 * must not be told apart. What is deferred comes after the answer and is not in it, unless it has begun before.
 */
export async function workOf(ctx: Ctx, act: (ctx: Ctx) => Promise<unknown>): Promise<string[]> {
  // A hostname is looked up once in a while, by whoever comes first.
  await linkTo(ctx, "/");
  const done: string[] = [];
  const note = (statement: unknown) => done.push((statement as { sql: string }).sql.replaceAll(/\s+/g, " "));
  type Call = (...args: unknown[]) => unknown;
  const client = ctx.db.$client as unknown as { execute: Call; batch: Call };
  const { execute, batch } = client;
  client.execute = (...args) => {
    note(args[0]);
    return execute.apply(client, args);
  };
  client.batch = (...args) => {
    for (const statement of args[0] as unknown[]) note(statement);
    return batch.apply(client, args);
  };
  const scrypt: Ctx["scrypt"] = (...args) => {
    done.push(`scrypt ${JSON.stringify(args[2])}`);
    return ctx.scrypt(...args);
  };
  try {
    await act({ ...ctx, scrypt });
    return [...done];
  } finally {
    Object.assign(client, { execute, batch });
  }
}
