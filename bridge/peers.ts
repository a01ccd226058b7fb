/** What a tracker can be reached through: a TCP or TLS connection, or its last UDP address. */
export interface Peer {
  /** u32, unique among all that are held, never 0. */
  readonly id: number;
  /** The IMEI of its first frame, null before. In memory only, never in a log or a metric. */
  imei: string | null;
  /** A connection, which ends; false for an address that was last sent from. */
  readonly connected: boolean;
  /** Further IMEIs of a gateway that multiplexes trackers; null for the usual one. */
  others: Set<string> | null;
  /** @returns false when nothing can be written any more */
  send(bytes: Uint8Array): boolean;
  /** A frame of this peer was answered by the edge. */
  answered(): void;
  reachable(now: number): boolean;
}

const MAX_ID = 2 ** 32 - 1;

function matches(text: string, bytes: Uint8Array, start: number, end: number): boolean {
  if (text.length !== end - start) return false;
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) !== bytes[start + at]) return false;
  return true;
}

/** Who is connected, by id for replies and by IMEI for commands. */
export class Peers {
  private readonly byId = new Map<number, Peer>();
  private readonly byImei = new Map<string, Peer>();
  private readonly imeisPerPeer: number;
  private last: number;

  /** @param last the id before the first one to give out */
  constructor(imeisPerPeer: number, last = 0) {
    this.imeisPerPeer = imeisPerPeer;
    this.last = last;
  }

  nextId(): number {
    do {
      this.last = this.last === MAX_ID ? 1 : this.last + 1;
    } while (this.byId.has(this.last));
    return this.last;
  }

  add(peer: Peer): void {
    this.byId.set(peer.id, peer);
  }

  remove(peer: Peer): void {
    this.byId.delete(peer.id);
    this.unbind(peer.imei, peer);
    for (const imei of peer.others ?? []) this.unbind(imei, peer);
  }

  private unbind(imei: string | null, peer: Peer): void {
    if (imei !== null && this.byImei.get(imei) === peer) this.byImei.delete(imei);
  }

  /**
   * Notes that a frame with the IMEI in `bytes[start..end)` came from this peer. Of the connections of an IMEI the newest
   * wins, because what an older one still carries is late. An address wins and loses by the latest frame.
   */
  bind(peer: Peer, bytes: Uint8Array, start: number, end: number): void {
    let imei = peer.imei;
    if (imei === null || !matches(imei, bytes, start, end)) {
      imei = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("latin1");
      if (peer.imei === null) {
        peer.imei = imei;
      } else {
        peer.others ??= new Set();
        if (peer.others.size >= this.imeisPerPeer && !peer.others.has(imei)) return;
        peer.others.add(imei);
      }
    }
    const holder = this.byImei.get(imei);
    if (holder === peer) return;
    const late = holder?.connected === true && peer.connected && holder.id > peer.id;
    if (!late) this.byImei.set(imei, peer);
  }

  /** @returns the id of the peer to send a command for this IMEI to, or null when none is reachable here */
  holder(imei: string, now: number): number | null {
    const peer = this.byImei.get(imei);
    return peer?.reachable(now) ? peer.id : null;
  }

  has(id: number): boolean {
    return this.byId.has(id);
  }

  /** @returns false when the peer is gone or does not take any more */
  send(id: number, bytes: Uint8Array): boolean {
    return this.byId.get(id)?.send(bytes) ?? false;
  }

  /** One frame of this peer was answered. */
  answered(id: number): void {
    this.byId.get(id)?.answered();
  }

  /** IMEIs that can be reached by a command. */
  get devices(): number {
    return this.byImei.size;
  }
}
