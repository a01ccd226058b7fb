import { AppError } from "../errors.ts";
import { readBody } from "./body.ts";
import type { Form } from "./route.ts";

/**
 * Reads the form of a page: urlencoded, or multipart where it has a file.
 * @throws {AppError} too_large, invalid
 */
export async function readForm(request: Request, maxBytes: number): Promise<Form> {
  const type = request.headers.get("content-type") ?? "";
  const bytes = await readBody(request, maxBytes);
  const form: Form = Object.create(null);
  if (bytes.length === 0) return form;
  let fields: Iterable<[string, unknown]>;
  try {
    // Of a Response, since the request's own body has been read, within the limit.
    const data = await new Response(bytes as Uint8Array<ArrayBuffer>, { headers: { "content-type": type } }).formData();
    fields = data as unknown as Iterable<[string, unknown]>;
  } catch {
    throw new AppError("invalid", "The form cannot be read");
  }
  for (const [name, value] of fields) {
    const typed = typeof value === "string" ? value.replaceAll("\r\n", "\n") : await fileOf(value as Blob);
    // Boxes with one name: "1 5 7".
    form[name] = typeof typed === "string" && typeof form[name] === "string" ? `${form[name]} ${typed}` : typed;
  }
  return form;
}

async function fileOf(file: Blob): Promise<{ type: string; bytes: Uint8Array }> {
  return { type: file.type, bytes: new Uint8Array(await file.arrayBuffer()) };
}
