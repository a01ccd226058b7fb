import { connect } from "node:net";

/**
 * Opens one connection for each entry of FRAMES (hex, comma between them, may be empty), sends what it says and then waits
 * to be stopped from outside: peers that are still connected and never answer again.
 */
const port = Number(process.env.BRIDGE_PORT);
const frames = (process.env.FRAMES ?? "").split(",").map((hex) => Buffer.from(hex, "hex"));
await Promise.all(
  frames.map(
    (bytes) =>
      new Promise<void>((resolve, reject) => {
        const socket = connect({ port, host: "127.0.0.1" }, () => socket.write(bytes, () => resolve()));
        socket.on("error", reject);
      }),
  ),
);
process.stdout.write("connected\n");
setInterval(() => {}, 60_000);
