import type { security as en } from "../en/security.ts";

export const security: typeof en = {
  what: { totp: "身份验证器应用", passkey: "通行密钥" },
};
