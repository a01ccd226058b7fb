import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** A bare connection to the bridge that says what it is told and keeps what it hears. */
export class Peer {
  received = Buffer.alloc(0);
  closed = false;
  readonly #socket: Socket;
  readonly #opened: Promise<void>;

  constructor(port: number) {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket = socket;
    this.#opened = new Promise((resolve) => {
      socket.once("connect", () => resolve());
      socket.once("close", () => resolve());
    });
    socket.on("data", (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
    });
    socket.on("error", () => {});
    socket.on("end", () => {
      this.closed = true;
    });
    socket.on("close", () => {
      this.closed = true;
    });
  }

  opened(): Promise<void> {
    return this.#opened;
  }

  /** Waits while the other side reads slower than this one writes. */
  async write(bytes: Uint8Array): Promise<void> {
    await this.#opened;
    if (this.closed) return;
    await new Promise<void>((resolve) => {
      if (this.#socket.write(bytes)) resolve();
      else {
        this.#socket.once("drain", resolve);
        this.#socket.once("close", () => resolve());
      }
    });
  }

  /** One byte after the other with a pause between them, until all are written or the other side closes. */
  async drip(bytes: Uint8Array, gapMs: number): Promise<void> {
    for (let i = 0; i < bytes.length && !this.closed; i++) {
      await this.write(bytes.subarray(i, i + 1));
      await sleep(gapMs);
    }
  }

  /** Closes the way a tracker does that goes to sleep. */
  async end(): Promise<void> {
    await this.#opened;
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
