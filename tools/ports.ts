import { createSocket } from "node:dgram";
import { type AddressInfo, createServer } from "node:net";
import { SettingError } from "./settings.ts";

/** Listens and lets go again. @returns the port */
function tryTcp(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address() as AddressInfo;
      server.close(() => resolve(address.port));
    });
  });
}

function tryUdp(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    socket.once("error", reject);
    socket.bind({ address: host, port, exclusive: true }, () => socket.close(() => resolve()));
  });
}

const REASONS: Record<string, string> = {
  EADDRINUSE: "is in use by another program; stop that one or set another port",
  EACCES: "needs more rights than this user has; set a port above 1023",
  EADDRNOTAVAIL: "cannot be opened: this machine does not have that address",
};

/**
 * Finds out whether a port can be used, before anything is started. For 0 any free one is chosen here, because every
 * restart of the child must come back to the same one.
 * @throws {SettingError} naming the setting
 */
export async function claimPort(setting: string, host: string, port: number, udp = false): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    try {
      const chosen = await tryTcp(host, port);
      if (udp) await tryUdp(host, chosen);
      return chosen;
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException;
      if (port === 0 && attempt < 20 && code === "EADDRINUSE") continue;
      throw new SettingError(`${setting} ${port} on ${host} ${REASONS[code] ?? `cannot be opened (${code})`}.`);
    }
  }
}
