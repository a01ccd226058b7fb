import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { connect, type Socket } from "node:net";

/** Where a link leads and how it treats what it carries. */
export interface LinkSettings {
  readonly host: string;
  readonly port: number;
  readonly transport: "tcp" | "udp";
  /** Cuts and joins frames on their way into TCP. */
  readonly split: boolean;
}

/** What a link tells its tracker. */
export interface LinkEvents {
  readonly onUp: () => void;
  /** `wanted` is false when the other side or the network ended it. */
  readonly onDown: (wanted: boolean) => void;
  readonly onData: (chunk: Uint8Array) => void;
  readonly onRoom: () => void;
}

/** Bytes that may wait in a socket before its tracker holds its reports back. */
const UNWRITTEN_BYTES = 64 * 1024;

/** A tracker's way to the platform: one TCP connection or one UDP port, opened again and again. */
export class Link {
  up = false;
  readonly #settings: LinkSettings;
  readonly #events: LinkEvents;
  readonly #random: () => number;
  #tcp: Socket | null = null;
  #udp: UdpSocket | null = null;
  #ending = false;
  // Bytes on their way in pieces, when segments are cut and joined.
  #pieces: Uint8Array[] = [];

  constructor(settings: LinkSettings, random: () => number, events: LinkEvents) {
    this.#settings = settings;
    this.#random = random;
    this.#events = events;
  }

  /** Closed, and free to be opened. */
  get idle(): boolean {
    return this.#tcp === null && this.#udp === null;
  }

  /** Up, and not more written than the network takes. */
  get ready(): boolean {
    return this.up && (this.#tcp === null || this.#tcp.writableLength < UNWRITTEN_BYTES);
  }

  /** Everything that was sent is in the hands of the network. */
  get flushed(): boolean {
    return this.#pieces.length === 0 && (this.#tcp === null || this.#tcp.writableLength === 0);
  }

  open(): void {
    this.#ending = false;
    if (this.#settings.transport === "tcp") this.#openTcp();
    else this.#openUdp();
  }

  #openTcp(): void {
    const { host, port } = this.#settings;
    const socket = connect({ host, port, noDelay: true });
    this.#tcp = socket;
    socket.on("connect", () => this.#opened());
    socket.on("data", this.#events.onData);
    socket.on("drain", this.#events.onRoom);
    // An error is followed by "close", where it counts.
    socket.on("error", () => {});
    socket.on("close", () => {
      if (this.#tcp === socket) this.#closed();
    });
  }

  #openUdp(): void {
    const { host, port } = this.#settings;
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    this.#udp = socket;
    socket.on("connect", () => this.#opened());
    socket.on("message", this.#events.onData);
    // Refused datagrams come back as errors; a tracker does not notice either.
    socket.on("error", () => {});
    socket.connect(port, host);
  }

  #opened(): void {
    if (this.#ending) return;
    this.up = true;
    this.#events.onUp();
  }

  #closed(): void {
    const wanted = this.#ending;
    this.up = false;
    this.#tcp = null;
    this.#udp = null;
    this.#pieces = [];
    this.#events.onDown(wanted);
  }

  /** Sends one frame. Call it while `ready`. */
  send(frame: Uint8Array): void {
    if (this.#udp !== null) this.#udp.send(frame);
    else if (this.#settings.split) this.#pieces.push(frame);
    else this.#tcp?.write(frame);
  }

  /** Sends a random part of what waits to be cut and joined; call it often. */
  tick(): void {
    if (this.#pieces.length === 0 || this.#tcp === null) return;
    // A third of the time nothing, so that the next frame joins what waits.
    if (this.#random() < 0.33) return;
    const waiting = Buffer.concat(this.#pieces);
    const cut = 1 + Math.floor(this.#random() * waiting.length);
    this.#tcp.write(waiting.subarray(0, cut));
    this.#pieces = cut === waiting.length ? [] : [waiting.subarray(cut)];
  }

  /** Closes after everything sent has left. */
  end(): void {
    this.#ending = true;
    this.up = false;
    for (const piece of this.#pieces) this.#tcp?.write(piece);
    this.#pieces = [];
    this.#tcp?.end();
    if (this.#udp !== null) {
      this.#udp.close();
      this.#closed();
    }
  }

  /** Closes at once; what has not left is lost. */
  cut(): void {
    this.#ending = true;
    const socket = this.#tcp;
    if (socket === null) this.#udp?.close();
    else socket.destroy();
    this.#closed();
  }
}
