import { createTransport } from "nodemailer";
import { parseSender, type SendMail } from "./mail.ts";

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/**
 * Sends by SMTP. Outside this machine a connection without TLS is refused, whatever the server offers.
 * @param url smtps://user:password@host:465, or smtp: for STARTTLS, on port 587 unless it names another
 */
export function viaSmtp(url: string): SendMail {
  const { protocol, hostname, port, username, password } = new URL(url);
  const secure = protocol === "smtps:";
  const isLocal = LOOPBACK.test(hostname);
  const transport = createTransport({
    host: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port) || (secure ? 465 : 587),
    secure,
    requireTLS: !secure && !isLocal,
    ignoreTLS: isLocal,
    ...(username !== "" && { auth: { user: decodeURIComponent(username), pass: decodeURIComponent(password) } }),
    // Together shorter than the time for which a mail that is being sent is left alone.
    dnsTimeout: 10_000,
    connectionTimeout: 10_000,
    greetingTimeout: 10_000,
    socketTimeout: 20_000,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return async ({ from, to, subject, text, html }) => {
    const { name, email } = parseSender(from);
    try {
      await transport.sendMail({
        from: { name, address: email },
        to: { name: "", address: to },
        subject,
        text,
        html,
        headers: { "Auto-Submitted": "auto-generated" },
      });
    } catch (error) {
      // The server's own words may repeat the address or the login.
      const { code = "unknown" } = error as { code?: string };
      throw Object.assign(new Error(`Cannot send mail by SMTP: ${code}`), { code });
    }
  };
}
