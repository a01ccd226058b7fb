import { createServer, type Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";

export interface SinkOptions {
  /** Certificate and key, PEM: STARTTLS is offered. */
  tls?: { cert: string; key: string };
  /** The only login that is taken; absent: none is asked for. */
  login?: { user: string; password: string };
}

/** A mail as it came over the wire. */
export interface Received {
  from: string;
  to: string[];
  /** Headers and body, with CR LF. */
  data: string;
  encrypted: boolean;
}

export interface Sink {
  port: number;
  mails: Received[];
  /** Every line that a client sent outside of a mail, without CR LF. */
  lines: string[];
  close(): Promise<void>;
}

/** A mail server for tests: it speaks SMTP on a real socket, takes every mail and delivers none. */
export async function startSink({ tls, login }: SinkOptions = {}): Promise<Sink> {
  const mails: Received[] = [];
  const lines: string[] = [];
  const sockets = new Set<Socket>();

  function converse(socket: Socket, encrypted: boolean): void {
    let mail: Received = { from: "", to: [], data: "", encrypted };
    let mode: "command" | "data" = "command";
    let loggedIn = login === undefined;
    let buffer = "";
    const say = (line: string) => socket.write(`${line}\r\n`);
    const command = (line: string): void => {
      lines.push(line);
      const [verb = ""] = line.toUpperCase().split(/[ :]/);
      if (verb === "EHLO") {
        const offers = [
          "sink.test",
          ...(tls && !encrypted ? ["STARTTLS"] : []),
          ...(login ? ["AUTH PLAIN"] : []),
          "8BITMIME",
        ];
        for (const [n, offer] of offers.entries()) say(`250${n === offers.length - 1 ? " " : "-"}${offer}`);
      } else if (verb === "STARTTLS" && tls) {
        say("220 go on");
        socket.removeAllListeners("data");
        const secure = new TLSSocket(socket, { isServer: true, secureContext: createSecureContext(tls) });
        secure.on("error", () => secure.destroy());
        converse(secure, true);
      } else if (verb === "AUTH") {
        const given = Buffer.from(line.split(" ")[2] ?? "", "base64").toString();
        loggedIn = given === `\0${login?.user}\0${login?.password}`;
        say(loggedIn ? "235 welcome" : `535 no such login: ${given.replaceAll("\0", " ")}`);
      } else if (verb === "MAIL" && !loggedIn) say("530 log in first");
      else if (verb === "MAIL") {
        mail = { from: /<(.*)>/.exec(line)?.[1] ?? "", to: [], data: "", encrypted };
        say("250 ok");
      } else if (verb === "RCPT") {
        mail.to.push(/<(.*)>/.exec(line)?.[1] ?? "");
        say("250 ok");
      } else if (verb === "DATA") {
        mode = "data";
        say("354 end with a dot");
      } else if (verb === "QUIT") {
        say("221 bye");
        socket.end();
      } else say("500 what?");
    };
    socket.on("data", (chunk) => {
      buffer += chunk.toString("latin1");
      for (;;) {
        const mark = mode === "data" ? "\r\n.\r\n" : "\r\n";
        const end = buffer.indexOf(mark);
        if (end < 0) return;
        const part = buffer.slice(0, end);
        buffer = buffer.slice(end + mark.length);
        if (mode === "command") {
          command(part);
          continue;
        }
        mails.push({ ...mail, data: Buffer.from(part, "latin1").toString("utf8") });
        mode = "command";
        say("250 taken");
      }
    });
  }

  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
    socket.write("220 sink.test ESMTP\r\n");
    converse(socket, false);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as { port: number }).port,
    mails,
    lines,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
