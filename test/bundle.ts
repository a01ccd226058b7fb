import { buildWorker } from "../tools/bundle.ts";

/** Before all tests: the Worker's bundle is made once, not by each file that needs it. */
export async function setup(): Promise<void> {
  await buildWorker();
}
