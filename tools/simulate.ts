import { Fleet, type Status } from "./fleet.ts";
import { OptionError, readOptions, type SimulateOptions, usage } from "./simulate-options.ts";
import { register, type Verification, verify } from "./verify.ts";

/** Differences that are listed; the rest is counted. */
const LISTED = 20;

const count = (n: number) => n.toLocaleString("en");

function progressLine(status: Status): string {
  const { connected, devices, sent, asked, acknowledged, refused, held, seconds } = status;
  const clock = new Date(seconds * 1000).toISOString().slice(11, 19);
  const rate = count(Math.round(sent / Math.max(seconds, 1)));
  return `${clock}  ${count(connected)} of ${count(devices)} connected, ${count(sent)} sent (${rate}/s), ${count(acknowledged)} of ${count(asked)} acknowledged, ${count(refused)} refused, ${count(held)} held`;
}

function resultLines(status: Status): string[] {
  const { sent, asked, acknowledged, refused, held, frames, bytes, resent, broken, commands, seconds } = status;
  const lines = [
    `sent ${count(sent)}, acknowledged ${count(acknowledged)} of ${count(asked)} that ask for it, refused ${count(refused)}`,
    `${count(frames)} frames, ${count(bytes)} bytes in ${seconds.toFixed(1)} s`,
  ];
  if (held > 0) lines.push(`${count(held)} not delivered`);
  if (resent > 0) lines.push(`${count(resent)} frames sent again`);
  if (broken > 0) lines.push(`${count(broken)} connections broken by the platform or the network`);
  if (commands > 0) lines.push(`${count(commands)} commands answered`);
  return lines;
}

function verificationLines({ expected, found, devices, doubtful, differences, delayMs }: Verification): string[] {
  const lines = [
    `verified: ${count(found)} of ${count(expected)} sent reports of ${count(devices)} devices are stored, ${count(differences.length)} differences`,
  ];
  if (delayMs !== null) lines.push(`received after ${delayMs.p50} ms (median), ${delayMs.p99} ms (99 %)`);
  const { stored, lost } = doubtful;
  if (stored + lost > 0) {
    lines.push(`of ${count(stored + lost)} sent just before a connection broke, ${count(stored)} are stored`);
  }
  for (const { kind, imei, fixTime, detail } of differences.slice(0, LISTED)) {
    lines.push(`  ${kind}: ${imei} ${fixTime} ${detail}`);
  }
  if (differences.length > LISTED) lines.push(`  and ${count(differences.length - LISTED)} more`);
  return lines;
}

/** Runs the simulator as the options say. Returns the exit code. */
async function main(options: SimulateOptions): Promise<number> {
  const { url, key, json } = options;
  const say = (line: string) => void (json ? process.stderr : process.stdout).write(`${line}\n`);
  const fleet = new Fleet(options.fleet);
  const { devices, frames, model, transport, host, port, seed } = fleet.options;
  const access = url === null || key === null ? null : { url, key };
  if (access !== null && options.register) {
    say(`${count(await register(access, fleet))} devices registered`);
  }

  const stop = new AbortController();
  const onSignal = () => {
    // The second one does not wait for what is outstanding.
    if (stop.signal.aborted) process.exit(130);
    stop.abort();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);

  say(`${count(devices)} trackers (${model}, ${frames}) to ${host}:${port} (${transport}), seed ${seed}`);
  const status = await fleet.run({ signal: stop.signal, onProgress: (now) => say(progressLine(now)) });
  for (const line of resultLines(status)) say(line);
  const verification = access !== null && options.verify ? await verify(access, fleet) : null;
  if (verification !== null) for (const line of verificationLines(verification)) say(line);
  if (json) process.stdout.write(`${JSON.stringify({ ...status, verification })}\n`);
  const delivered = status.sent > 0 && status.held === 0;
  return delivered && (verification?.differences.length ?? 0) === 0 ? 0 : 1;
}

try {
  const options = readOptions(process.argv.slice(2), process.env);
  if (options.help) process.stdout.write(`${usage()}\n`);
  else process.exitCode = await main(options);
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = error instanceof OptionError ? 2 : 1;
}
