import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import type { Intake } from "./intake.ts";
import type { Peer } from "./peers.ts";

const UDP = 1;

/** The address a tracker last sent a datagram from. */
class UdpPeer implements Peer {
  readonly id: number;
  readonly port: number;
  readonly address: string;
  imei: string | null = null;
  others: Set<string> | null = null;
  /** Of its last good frame, Unix ms. */
  at = 0;
  private readonly owner: Datagrams;

  constructor(id: number, port: number, address: string, owner: Datagrams) {
    this.id = id;
    this.port = port;
    this.address = address;
    this.owner = owner;
  }

  get connected(): boolean {
    return false;
  }

  send(bytes: Uint8Array): boolean {
    return this.owner.send(this, bytes);
  }

  answered(): void {}

  reachable(now: number): boolean {
    return this.owner.fresh(this, now);
  }
}

/** UDP on one port: a datagram is a frame, replies and commands go to the address the tracker last sent from. */
export class Datagrams {
  private readonly intake: Intake;
  /** By address and port, the one silent longest first. */
  private readonly held = new Map<string, UdpPeer>();
  private socket: Socket | null = null;

  constructor(intake: Intake) {
    this.intake = intake;
  }

  /** @throws the system's error when the port cannot be had */
  listen(port: number, host: string): Promise<number> {
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    return new Promise((resolve, reject) => {
      socket.once("error", reject);
      socket.bind(port, host, () => {
        socket.off("error", reject);
        // A reply to an address that is gone comes back as an error of the socket; there is nothing to do about it.
        socket.on("error", () => {});
        socket.on("message", (bytes, from) => this.take(bytes, from));
        try {
          socket.setRecvBufferSize(this.intake.options.limits.udpReceiveBytes);
        } catch {
          // The system's own maximum stays.
        }
        this.socket = socket;
        resolve(socket.address().port);
      });
    });
  }

  get size(): number {
    return this.held.size;
  }

  /** One datagram. */
  take(bytes: Uint8Array, from: Pick<RemoteInfo, "port" | "address">): void {
    const { metrics, spool, peers, limits, now } = this.intake.options;
    metrics.count.datagrams += 1;
    if (spool.congested) {
      // UDP cannot be left unread. The tracker was not answered, so it sends the report again.
      metrics.count.datagramsUnread += 1;
      return;
    }
    const key = `${from.address} ${from.port}`;
    const peer = this.held.get(key) ?? new UdpPeer(peers.nextId(), from.port, from.address, this);
    const { frames, held } = this.intake.read(bytes, peer, UDP, null);
    const behind = held === null ? 0 : this.intake.giveUp(peer, UDP, held);
    // Only a good frame earns an entry: a stranger's noise leaves nothing behind.
    if (frames + behind === 0) return;
    peer.at = now();
    this.held.delete(key);
    this.held.set(key, peer);
    peers.add(peer);
    if (this.held.size > limits.udpPeers) this.forgetOldest();
  }

  private forgetOldest(): void {
    const [oldest] = this.held;
    if (oldest === undefined) return;
    this.held.delete(oldest[0]);
    this.intake.options.peers.remove(oldest[1]);
  }

  fresh(peer: UdpPeer, now: number): boolean {
    return now - peer.at <= this.intake.options.limits.udpPeerMs;
  }

  send(peer: UdpPeer, bytes: Uint8Array): boolean {
    const { limits, now } = this.intake.options;
    const { socket } = this;
    if (socket === null || !this.fresh(peer, now()) || socket.getSendQueueSize() > limits.udpReceiveBytes) return false;
    socket.send(bytes, peer.port, peer.address, () => {});
    return true;
  }

  /** Forgets addresses that are too old to reach anyone; called every `limits.sweepMs`. */
  sweep(): void {
    const now = this.intake.options.now();
    for (const peer of this.held.values()) {
      if (this.fresh(peer, now)) return;
      this.forgetOldest();
    }
  }

  close(): void {
    this.socket?.close();
    this.socket = null;
    for (const peer of this.held.values()) this.intake.options.peers.remove(peer);
    this.held.clear();
  }
}
