import type { Mail } from "../context.ts";
import type { RuntimeConfig } from "./config.ts";

export type SendMail = (mail: Mail) => Promise<void>;

/** The part of Cloudflare's `send_email` binding that is used here. */
export interface EmailBinding {
  send(mail: {
    from: string | { name: string; email: string };
    to: string;
    subject: string;
    text: string;
    html: string;
  }): Promise<unknown>;
}

/** What may deliver mails on a platform. */
interface Means extends Pick<RuntimeConfig, "smtpUrl" | "outboxUrl" | "outboxToken"> {
  email?: EmailBinding | undefined;
  /** SMTP, where there are sockets. */
  smtp?: ((url: string) => SendMail) | undefined;
}

/** Every way that a mail can leave. The first that an installation has is the one that it uses. */
const WAYS: readonly ((means: Means) => SendMail | undefined)[] = [
  ({ email }) => email && viaBinding(email),
  ({ smtp, smtpUrl }) => (smtpUrl === undefined ? undefined : smtp?.(smtpUrl)),
  ({ outboxUrl, outboxToken }) => (outboxUrl && outboxToken ? viaOutbox(outboxUrl, outboxToken) : undefined),
];

/** How this installation sends mails; null when it has no way. */
export function mailer(means: Means): SendMail | null {
  for (const way of WAYS) {
    const send = way(means);
    if (send !== undefined) return async (mail) => send(checked(mail));
  }
  return null;
}

const ADDRESS = /^[^\s<>@,;:"()[\]\\]+@[^\s<>@,;:"()[\]\\]+$/;

/** "Name <address>" or an address, in its parts. */
export function parseSender(from: string): { name: string; email: string } {
  const [, name = "", email = from] = /^(.*\S)\s*<([^<>]*)>$/.exec(from) ?? [];
  return { name, email };
}

/** A line break in what becomes a header would begin another one, and a comma another recipient. */
function checked(mail: Mail): Mail {
  const { name, email } = parseSender(mail.from);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  const broken = [name, mail.subject].some((text) => /[\x00-\x1f\x7f\u2028\u2029]/.test(text));
  if (broken || !ADDRESS.test(email) || !ADDRESS.test(mail.to))
    throw new Error("Cannot send mail: a header is not one");
  return mail;
}

function viaBinding(email: EmailBinding): SendMail {
  return async ({ from, ...mail }) => {
    const sender = parseSender(from);
    await email.send({ from: sender.name === "" ? sender.email : sender, ...mail });
  };
}

/** The local outbox of `npm start` (tools/outbox.ts). */
function viaOutbox(url: string, token: string): SendMail {
  return async (mail) => {
    const response = await fetch(url, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify(mail),
      redirect: "manual",
      signal: AbortSignal.timeout(50_000),
    });
    await response.body?.cancel();
    if (!response.ok) throw Object.assign(new Error("The outbox refused a mail"), { code: String(response.status) });
  };
}
