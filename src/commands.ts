import { COMMANDS, type CommandCode, encodeCommand, IDENTIFIERS, identifierAt } from "../codec/commands.ts";
import { CodecError } from "../codec/errors.ts";
import { accountOf, reachOf, requireEditable, requireProof } from "./access.ts";
import type { Ctx } from "./context.ts";
import type { Device } from "./devices.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import type { CommandRow } from "./store/commands.ts";
import * as store from "./store/commands.ts";

export type { CommandRow as QueuedCommand } from "./store/commands.ts";
export { COMMAND_STATES } from "./store/schema.ts";

export interface NewCommand {
  code: CommandCode;
  arguments: Record<string, unknown>;
  /** After this the command never fires. */
  ttlSeconds: number;
}

/**
 * Queues a command for the bridge that holds the device's connection. It is encoded here, so that nothing is queued
 * that the tracker could not be told.
 * @throws {AppError} forbidden; step_up_required for a dangerous one; invalid, naming the argument; conflict when too many
 *   commands are under way to this device, or it is suspended
 */
export async function queueCommand(ctx: Ctx, device: Device, command: NewCommand): Promise<CommandRow> {
  requireEditable(ctx, device.id);
  if (device.suspendedSince !== null) {
    throw new AppError("conflict", "This device is suspended: nothing is sent to it until it goes on");
  }
  // It can stop an engine or delete positions: whoever found an open browser must not.
  if (COMMANDS.some(({ code, danger }) => code === command.code && danger !== null)) requireProof(ctx);
  const now = ctx.now();
  const open = await store.openCommands(ctx.db, reachOf(ctx), device.id, now, now - LIMITS.commandReplyMs);
  if (open.length >= LIMITS.commandsOpenPerDevice) {
    throw new AppError("conflict", `${open.length} commands to this device wait for their end; no more can be queued`);
  }
  const identifier = freeIdentifier(
    open.map((other) => other.identifier),
    ctx.random(1)[0]!,
  );
  const { code, arguments: given } = command;
  return store.insertCommand(ctx.db, accountOf(ctx), {
    deviceId: device.id,
    code,
    arguments: given,
    identifier,
    frame: encode({ imei: device.imei, identifier, code, arguments: given }),
    createdAt: now,
    expiresAt: now + command.ttlSeconds * 1000,
  });
}

/** The reply repeats the identifier: commands that are under way at the same time need different ones. */
function freeIdentifier(used: readonly string[], start: number): string {
  for (let i = 0; i < IDENTIFIERS.count; i++) {
    const identifier = identifierAt(start + i);
    if (!used.includes(identifier)) return identifier;
  }
  return identifierAt(start);
}

function encode(command: Parameters<typeof encodeCommand>[0]): Uint8Array {
  try {
    return encodeCommand(command);
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    const argument = /"(\w+)"/.exec(error.message)?.[1];
    throw new AppError("invalid", error.message, argument === undefined ? {} : { field: `arguments.${argument}` });
  }
}

/** One page of a device's commands, newest first. @param before the last id of the page before, or null */
export function listCommands(ctx: Ctx, device: Device, before: number | null, limit: number): Promise<CommandRow[]> {
  return store.listCommands(ctx.db, reachOf(ctx), device.id, before, limit, ctx.now());
}

/** @throws {AppError} not_found */
export async function commandOf(ctx: Ctx, device: Device, id: number): Promise<CommandRow> {
  const command = await store.commandById(ctx.db, reachOf(ctx), device.id, id, ctx.now());
  if (command === null) throw new AppError("not_found", "No such command");
  return command;
}
