import process from "node:process";

/**
 * Preloaded into each child of the platform (Node and Deno): its standard input is a pipe from the supervisor, which the
 * kernel closes whatever way the supervisor ends. Without it a killed supervisor would leave its children on their ports.
 */
const STOP_MS = 15_000;

let over = false;
function end(): void {
  if (over) return;
  over = true;
  setTimeout(() => process.kill(process.pid, "SIGKILL"), STOP_MS).unref();
  process.kill(process.pid, "SIGTERM");
}

// Deno has no "close" here.
for (const event of ["end", "close", "error"]) process.stdin.once(event, end);
// Later: Deno runs a preloaded module until it waits for nothing, and would wait for the end of this pipe.
setTimeout(() => process.stdin.resume(), 50).unref();
// What a child creates belongs to the owner of the data folder alone.
process.umask(0o077);
