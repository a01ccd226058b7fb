import * as v from "valibot";
import { type Command, type CommandParameter, DANGERS, rangeOf, COMMANDS as TABLE } from "../../codec/commands.ts";
import {
  COMMAND_STATES,
  commandOf,
  listCommands,
  type NewCommand,
  type QueuedCommand,
  queueCommand,
} from "../commands.ts";
import { LIMITS } from "../limits.ts";
import { DevicePath, findDevice } from "./devices.ts";
import { resource } from "./etag.ts";
import { Id, iso, isoOrNull, ListQuery, listOf, MaybeTime, PathId, page, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";

/** The schema of one argument, from its row in the command table. */
function argument(parameter: CommandParameter): v.GenericSchema {
  const description = parameter.note ?? rangeOf(parameter);
  const schema = v.pipe(bounds(parameter), v.description(description));
  return parameter.optional === true ? v.exactOptional(schema) : schema;
}

function bounds(parameter: CommandParameter): v.GenericSchema {
  switch (parameter.type) {
    case "integer": {
      const { min, max, unit, step = 1 } = parameter;
      const number = v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max), v.metadata({ "x-unit": unit }));
      return step === 1 ? number : v.pipe(number, v.multipleOf(step));
    }
    case "choice":
      return v.picklist(parameter.values.map(({ value }) => value));
    case "text": {
      const { minLength, maxLength, alphabet } = parameter;
      const text = v.pipe(v.string(), v.minLength(minLength), v.maxLength(maxLength));
      if (alphabet === undefined) return text;
      return v.pipe(text, v.regex(new RegExp(`^[${alphabet}]*$`), `must be ${rangeOf(parameter)}`));
    }
  }
}

const Ttl = v.optional(
  v.pipe(
    v.number(),
    v.integer(),
    v.minValue(LIMITS.commandTtlMinS),
    v.maxValue(LIMITS.commandTtlMaxS),
    v.description("Not taken by the tracker within this time, the command expires and never fires"),
  ),
  LIMITS.commandTtlS,
);

/** One schema per row of the command table. */
const bodies = TABLE.map((row: Command) => {
  const entries = Object.fromEntries(row.parameters.map((parameter) => [parameter.name, argument(parameter)]));
  const given = v.strictObject(entries);
  const needed = row.parameters.some((parameter) => parameter.optional !== true);
  return v.pipe(
    v.strictObject({
      code: v.literal(row.code),
      arguments: needed ? given : v.optional(given, {}),
      ttlSeconds: Ttl,
    }),
    v.title(row.name),
  );
});
const NewCommandJson = v.variant("code", bodies as never) as unknown as v.GenericSchema<unknown, NewCommand>;

export const CommandJson = v.object({
  id: Id,
  deviceId: Id,
  code: v.string(),
  name: v.pipe(v.string(), v.description("What the command is called")),
  arguments: v.record(v.string(), v.unknown()),
  state: v.picklist(COMMAND_STATES),
  createdAt: Time,
  expiresAt: Time,
  sentAt: MaybeTime,
  answeredAt: MaybeTime,
  reply: v.pipe(v.nullable(v.string()), v.description("What the tracker answered, as it came")),
});

const NAMES = new Map<string, string>(TABLE.map(({ code, name }) => [code, name]));

function commandJson(command: QueuedCommand): v.InferOutput<typeof CommandJson> {
  const { id, deviceId, code, state, reply } = command;
  return {
    id,
    deviceId,
    code,
    name: NAMES.get(code) ?? code,
    arguments: command.arguments,
    state,
    createdAt: iso(command.createdAt),
    expiresAt: iso(command.expiresAt),
    sentAt: isoOrNull(command.sentAt),
    answeredAt: isoOrNull(command.answeredAt),
    reply,
  };
}

export const CommandTypeJson = v.object({
  code: v.string(),
  name: v.string(),
  danger: v.pipe(v.nullable(v.string()), v.description("What it can do to its owner beyond what it says")),
  parameters: v.array(
    v.object({
      name: v.string(),
      type: v.picklist(["integer", "choice", "text"]),
      optional: v.boolean(),
      expects: v.pipe(v.string(), v.description("What it may be, in words")),
      note: v.nullable(v.string()),
    }),
  ),
  source: v.pipe(v.string(), v.description("Where the protocol describes it")),
});

function commandTypeJson({ code, name, danger, parameters, source }: Command): v.InferOutput<typeof CommandTypeJson> {
  return {
    code,
    name,
    danger: danger === null ? null : DANGERS[danger],
    parameters: parameters.map((parameter) => ({
      name: parameter.name,
      type: parameter.type,
      optional: parameter.optional === true,
      expects: rangeOf(parameter),
      note: parameter.note ?? null,
    })),
    source,
  };
}

const tag = "Commands";

export const COMMANDS: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/commands/types",
    access: "read",
    tag,
    summary: "List the commands that can be sent",
    answers: { 200: { description: "The command table", schema: listOf(CommandTypeJson) } },
    handle: ({ c }) => c.json({ data: TABLE.map(commandTypeJson), nextCursor: null }),
  }),
  route({
    method: "POST",
    path: "/v1/devices/{id}/commands",
    access: "write",
    tag,
    summary: "Send a command to a tracker",
    description:
      "It is queued until the tracker's connection takes it, at the latest for ttlSeconds. Send an Idempotency-Key: " +
      "a request that is repeated because its answer was lost then does not fire twice.",
    params: DevicePath,
    body: NewCommandJson,
    idempotent: true,
    find: findDevice,
    answers: { 201: { description: "The queued command", schema: CommandJson, headers: ["Location", "ETag"] } },
    handle: async ({ c, ctx, object, body }) => {
      const command = await queueCommand(ctx, object, body);
      return resource(c, commandJson(command), { location: `/v1/devices/${object.id}/commands/${command.id}` });
    },
  }),
  route({
    method: "GET",
    path: "/v1/devices/{id}/commands",
    access: "read",
    tag,
    summary: "List a tracker's commands, newest first",
    params: DevicePath,
    query: ListQuery,
    find: findDevice,
    answers: { 200: { description: "One page of commands", schema: listOf(CommandJson) } },
    handle: async ({ c, ctx, object, query }) => {
      const commands = await listCommands(ctx, object, query.cursor ?? null, query.limit + 1);
      return c.json(page(commands, query.limit, commandJson));
    },
  }),
  route({
    method: "GET",
    path: "/v1/devices/{id}/commands/{commandId}",
    access: "read",
    tag,
    summary: "Read a command and what became of it",
    description: "queued until a connection takes it, then sent until the tracker answers: acked or refused.",
    params: v.object({ id: PathId, commandId: PathId }),
    etag: true,
    find: async (ctx, { id, commandId }) => commandOf(ctx, await findDevice(ctx, { id }), commandId),
    answers: { 200: { description: "The command", schema: CommandJson, headers: ["ETag"] } },
    handle: ({ c, object }) => resource(c, commandJson(object)),
  }),
];
