import type { Client } from "@libsql/client";

/**
 * Does something after a round trip to the database, counted from now on, while whoever made it waits.
 * @param trip 0: after the first
 * @returns ends the wait for it, and tells whether it has happened
 */
export function intrude(client: Client, trip: number, what: () => Promise<void>): () => boolean {
  const { batch, execute } = client;
  const end = () => Object.assign(client, { batch, execute });
  let left = trip;
  type Call = (...args: never[]) => Promise<unknown>;
  const counted =
    (call: Call): Call =>
    async (...args) => {
      const result = await call.apply(client, args);
      if (left-- === 0) {
        end();
        await what();
      }
      return result;
    };
  Object.assign(client, { batch: counted(batch as Call), execute: counted(execute as Call) });
  return () => {
    end();
    return left < 0;
  };
}
