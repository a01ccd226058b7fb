import type { TestDatabase } from "../database.ts";

/** Ends the program at a statement: it and all that follow fail. */
export function stopping({ client }: TestDatabase, at: number): () => boolean {
  let calls = 0;
  const { batch, execute } = client;
  const counted =
    (run: (...args: never[]) => Promise<unknown>) =>
    (...args: never[]) =>
      ++calls >= at ? Promise.reject(new Error("stopped")) : run.apply(client, args);
  Object.assign(client, { batch: counted(batch as never), execute: counted(execute as never) });
  return () => {
    Object.assign(client, { batch, execute });
    return calls >= at;
  };
}
