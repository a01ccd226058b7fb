/**
 * The stations of a frame on its way through the bridge, at which a test can make it fail. `BRIDGE_FAILPOINT=D:100` ends
 * the process with SIGKILL when station D is reached for the 100th time, as a power cut would.
 */
export const FAIL_POINTS = {
  A: "bytes read from a socket, not yet cut into frames",
  B: "frame queued for the spool, not yet written",
  C: "group written, not yet synced",
  D: "group synced: its frames count as received",
  E: "request built, not yet sent",
  F: "request sent, no answer yet",
  G: "answer read, nothing done with it yet",
  H: "replies written to the devices, frames still in the spool",
  I: "cursor file written",
  J: "segment deleted",
} as const;

export type FailPoint = keyof typeof FAIL_POINTS;

/** Called at each station. A test passes its own to throw, to wait for a station or to count. */
export type ReachPoint = (point: FailPoint) => void;

export const noFailPoint: ReachPoint = () => {};

/**
 * @param spec `<station>:<count>`
 * @returns null when the text is not of that form
 */
export function killAt(spec: string): ReachPoint | null {
  const match = /^([A-J]):([1-9]\d{0,8})$/.exec(spec);
  if (match === null) return null;
  let left = Number(match[2]);
  return (point) => {
    if (point !== match[1]) return;
    left -= 1;
    if (left === 0) process.kill(process.pid, "SIGKILL");
  };
}
