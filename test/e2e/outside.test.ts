import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@libsql/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startLibsqld } from "../../tools/libsqld.ts";
import { startPlatform } from "../../tools/platform.ts";

const folder = mkdtempSync(join(tmpdir(), "ephemeris-outside-"));
const token = "token-of-the-outside-server";
let server: Awaited<ReturnType<typeof startLibsqld>>;

beforeAll(async () => {
  server = await startLibsqld({ path: join(folder, "outside.db"), port: 0, token });
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const quiet = { port: 0, bridgePort: 0, bridgeHost: "127.0.0.1", report: () => undefined };

test.each(["workerd", "deno"] as const)(
  "with DATABASE_URL the app in %s keeps everything there",
  { timeout: 90_000 },
  async (runtime) => {
    const dataDir = join(folder, runtime);
    const platform = await startPlatform({ ...quiet, dataDir, runtime, databaseUrl: server.url, databaseToken: token });
    expect(platform.children.libsqld).toBeUndefined();
    const response = await fetch(`${platform.url}/v1/admin/accounts`, {
      method: "POST",
      headers: { authorization: `Bearer ${platform.secrets.adminToken}`, "content-type": "application/json" },
      body: JSON.stringify({ name: runtime }),
    });
    expect(response.status).toBe(201);
    const { id } = (await response.json()) as { id: number };
    await platform.stop();
    const client = createClient({ url: server.url, authToken: token });
    const { rows } = await client.execute({
      sql: "SELECT count(*) AS n FROM accounts WHERE id = ?",
      args: [id],
    });
    client.close();
    expect(rows[0].n).toBe(1);
    expect(existsSync(join(dataDir, "main.db"))).toBe(false);
  },
);

test("a DATABASE_URL that does not answer, or refuses the token, stops the start with a sentence", async () => {
  const start = (databaseUrl: string, databaseToken: string) =>
    startPlatform({ ...quiet, dataDir: join(folder, "refused"), databaseUrl, databaseToken });
  await expect(start("http://127.0.0.1:1", token)).rejects.toThrow(
    /^DATABASE_URL or DATABASE_TOKEN cannot be used: .*\.$/,
  );
  await expect(start(server.url, "wrong")).rejects.toThrow(/^DATABASE_URL or DATABASE_TOKEN cannot be used: .*token/);
});
