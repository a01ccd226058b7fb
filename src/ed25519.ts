import { fromBase64 } from "../client/base64.ts";

/** PKCS #8 of an Ed25519 key (RFC 8410) up to its 32 bytes. */
const PKCS8 = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/** An Ed25519 key pair (RFC 8032) of 32 secret bytes. */
export async function ed25519Of(secret: Uint8Array): Promise<{ privateKey: CryptoKey; publicKey: Uint8Array }> {
  const pkcs8 = new Uint8Array([...PKCS8, ...secret]);
  // Only what may be exported gives its public half away.
  const readable = await crypto.subtle.importKey("pkcs8", pkcs8, "Ed25519", true, ["sign"]);
  const { x } = (await crypto.subtle.exportKey("jwk", readable)) as { x: string };
  const privateKey = await crypto.subtle.importKey("pkcs8", pkcs8, "Ed25519", false, ["sign"]);
  pkcs8.fill(0);
  return { privateKey, publicKey: fromBase64(x) };
}
