import { readdirSync, readFileSync } from "node:fs";

/** CPU time in ms that a process has used so far, over all its threads, in the nanoseconds that the scheduler counts. */
export function cpuMs(pid: number): number {
  let ns = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    try {
      ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]);
    } catch {
      // A thread that ended between the two reads.
    }
  }
  return ns / 1e6;
}

/** Memory of a process that is in RAM, in MB. */
export function rssMb(pid: number): number {
  const pages = Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]);
  return (pages * 4096) / 1e6;
}
