import { parentPort, workerData } from "node:worker_threads";
import { fileSecrets } from "../../src/runtime/secrets-file.ts";
import { type Apart, type Asked, benchBase, settlerHere } from "./settler.ts";
import { openClient } from "./under-test.ts";

const { path, keys, aheadMs } = workerData as Apart;
let failure: unknown = null;
const now = () => performance.timeOrigin + performance.now() + aheadMs;
const ctx = benchBase(await openClient(path), fileSecrets(keys), now, (error) => {
  failure ??= error;
});
const settler = settlerHere(ctx);
parentPort!.on("message", async ([what, wishes]: Asked) => {
  try {
    await (what === "beginDay" ? settler.beginDay(wishes) : settler[what]());
  } catch (error) {
    failure ??= error;
  }
  parentPort!.postMessage(failure === null ? null : String((failure as Error).stack ?? failure));
});
parentPort!.postMessage("ready");
