import { createHash } from "node:crypto";
import { createServer, type Server } from "node:net";

/** Another process is using the same spool folder. */
export class SpoolInUseError extends Error {}

/**
 * Makes sure that one process only writes a spool folder. The lock is a socket in Linux's abstract namespace: it goes
 * away with the process, however that ends, so there is never a stale one. Other systems have no such lock.
 * @throws {SpoolInUseError}
 */
export async function lockSpool(folder: string): Promise<() => void> {
  if (process.platform !== "linux") return () => {};
  const name = createHash("sha256").update(folder).digest("hex").slice(0, 32);
  const server = await new Promise<Server>((resolve, reject) => {
    const socket = createServer((stranger) => stranger.destroy());
    socket.once("error", (error: NodeJS.ErrnoException) => {
      const inUse = error.code === "EADDRINUSE";
      reject(inUse ? new SpoolInUseError(`Cannot use SPOOL_DIR ${folder}: another bridge is running on it`) : error);
    });
    socket.listen(`\0ephemeris-spool-${name}`, () => resolve(socket));
  });
  server.unref();
  return () => server.close();
}
