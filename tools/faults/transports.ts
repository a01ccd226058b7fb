import { createSocket } from "node:dgram";
import { connect } from "node:net";

/** What a tracker's modem gives it. */
export interface Link {
  write(bytes: Uint8Array): void;
  /** Ends it in order, after what was written. */
  end(): void;
  /** Drops it. */
  destroy(): void;
}

export interface LinkEvents {
  opened(): void;
  data(bytes: Buffer): void;
  /** It is over, for whatever reason. Comes once. */
  closed(): void;
}

export const TRANSPORTS = {
  tcp(port: number, events: LinkEvents): Link {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    socket.on("connect", events.opened).on("data", events.data).on("close", events.closed);
    socket.on("error", () => {});
    return {
      write: (bytes) => void socket.write(bytes),
      end: () => {
        socket.end();
        // The bridge answers a FIN with its own; one that is dead does not.
        setTimeout(() => socket.destroy(), 1_000).unref();
      },
      destroy: () => void socket.destroy(),
    };
  },

  udp(port: number, events: LinkEvents): Link {
    const socket = createSocket("udp4");
    let over = false;
    const close = (): void => {
      if (over) return;
      over = true;
      socket.close(events.closed);
    };
    socket.on("connect", events.opened).on("message", events.data);
    // A dead bridge shows as a refused datagram. A modem does not see that: the reply just does not come.
    socket.on("error", () => {});
    socket.connect(port, "127.0.0.1");
    return {
      write: (bytes) => {
        if (!over) socket.send(bytes);
      },
      end: close,
      destroy: close,
    };
  },
} as const satisfies Record<string, (port: number, events: LinkEvents) => Link>;

export type Transport = keyof typeof TRANSPORTS;
