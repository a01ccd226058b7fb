import { AppError } from "../errors.ts";

/**
 * Reads a request body, and no more than the limit. A declared length bounds what the server passes on, so such a body
 * is read at once; one of unknown length is read piece by piece.
 * @throws {AppError} too_large
 */
export async function readBody(request: Request, maxBytes: number): Promise<Uint8Array> {
  const tooLarge = () => new AppError("too_large", `The body is larger than ${maxBytes} bytes`);
  const declared = request.headers.get("content-length");
  if (Number(declared ?? 0) > maxBytes) throw tooLarge();
  if (request.body === null) return new Uint8Array(0);
  if (declared !== null) return new Uint8Array(await request.arrayBuffer());
  const reader = (request.body as ReadableStream<Uint8Array>).getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > maxBytes) {
      await reader.cancel();
      throw tooLarge();
    }
    chunks.push(value);
  }
  if (chunks.length === 1) return chunks[0]!;
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/**
 * Reads a JSON object. An empty body is an empty object, so that the answer can say which field is missing.
 * @throws {AppError} too_large, or invalid without repeating what was sent
 */
export async function readJson(request: Request, maxBytes: number): Promise<{ value: object; bytes: Uint8Array }> {
  const bytes = await readBody(request, maxBytes);
  if (bytes.length === 0) return { value: {}, bytes };
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes));
  } catch {
    throw new AppError("invalid", "The body is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new AppError("invalid", "The body must be a JSON object");
  }
  return { value, bytes };
}
