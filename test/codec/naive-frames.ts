import { latin1 } from "../../codec/bytes.ts";

const HEAD = /^(?:\$\$|@@)[A-z](\d{1,5}),[0-9A-Za-z]{1,20},[0-9A-Za-z]{3}[\s\S]/;
const END = /^\*([0-9A-Fa-f]{2})\r\n$/;

/** What a stream holds, found in the plainest way: at each byte, is there a frame? `[start, end)` of each. */
export function naiveFrames(stream: Uint8Array, maxFrameBytes = 65_543): [number, number][] {
  const text = latin1(stream);
  const frames: [number, number][] = [];
  for (let start = 0; start < text.length; ) {
    const end = naiveEnd(stream, text, start, maxFrameBytes);
    if (end > 0) frames.push([start, end]);
    start = end > 0 ? end : start + 1;
  }
  return frames;
}

function naiveEnd(stream: Uint8Array, text: string, start: number, maxFrameBytes: number): number {
  const head = HEAD.exec(text.slice(start, start + 40));
  if (head === null) return 0;
  const [all, digits] = head;
  const length = Number(digits);
  const declared = start + 3 + digits.length + length;
  if (length < 3 || length > 65_535 || declared - start > maxFrameBytes) return 0;
  const ends = [declared];
  const isEnd = (end: number) => END.test(text.slice(end - 5, end));
  if (declared > text.length || !isEnd(declared)) for (let off = -8; off <= 8; off++) ends.push(declared + off);
  for (const end of ends) {
    const star = end - 5;
    if (star < start + all.length - 1 || end > text.length || end - start > maxFrameBytes || !isEnd(end)) continue;
    // Before the declared end has come, only an end with nothing behind it counts.
    if (declared > text.length && end < text.length) continue;
    let sum = 0;
    for (let i = start; i <= star; i++) sum += stream[i];
    if (sum % 256 === Number.parseInt(text.slice(star + 1, star + 3), 16)) return end;
  }
  return 0;
}
