import { expect, test } from "vitest";
import { readBody, readJson } from "../../../src/http/body.ts";

const post = (body: BodyInit, headers: Record<string, string> = {}) =>
  new Request("https://edge.test/", { method: "POST", body, headers, duplex: "half" } as RequestInit);

/** A body of unknown length that says how much of it was asked for. */
function endless(): { stream: ReadableStream<Uint8Array>; pulled: () => number } {
  let pulled = 0;
  const stream = new ReadableStream<Uint8Array>(
    {
      pull: (controller) => {
        pulled += 1000;
        controller.enqueue(new Uint8Array(1000));
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, pulled: () => pulled };
}

test("readBody() joins the chunks of a body", async () => {
  const stream = new ReadableStream({
    start: (controller) => {
      for (const byte of [1, 2, 3]) controller.enqueue(new Uint8Array([byte, byte]));
      controller.close();
    },
  });
  expect([...(await readBody(post(stream), 6))]).toEqual([1, 1, 2, 2, 3, 3]);
});

test("readBody() refuses a declared length above the limit without reading", async () => {
  const { stream, pulled } = endless();
  await expect(readBody(post(stream, { "Content-Length": "5000" }), 4000)).rejects.toMatchObject({ code: "too_large" });
  expect(pulled()).toBeLessThanOrEqual(1000);
});

test("readBody() stops reading an undeclared body at the limit", async () => {
  const { stream, pulled } = endless();
  await expect(readBody(post(stream), 4500)).rejects.toMatchObject({ code: "too_large" });
  expect(pulled()).toBeLessThanOrEqual(7000);
});

test("readJson() refuses what is no JSON object and never repeats it", async () => {
  for (const [body, message] of [
    ["{secret", "The body is not JSON"],
    [new Uint8Array([0x22, 0xff, 0x22]), "The body is not JSON"],
    ["[]", "The body must be a JSON object"],
    ["null", "The body must be a JSON object"],
    ['"secret"', "The body must be a JSON object"],
  ] as const) {
    await expect(readJson(post(body), 100)).rejects.toMatchObject({ code: "invalid", message });
  }
});

test("readJson() takes an empty body for an empty object", async () => {
  expect((await readJson(post(""), 100)).value).toEqual({});
});
