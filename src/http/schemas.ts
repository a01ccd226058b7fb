import type * as v from "valibot";
import { AccountJson, ApiKeyJson, BridgeJson } from "./admin.ts";
import { CommandJson, CommandTypeJson } from "./commands.ts";
import { DeviceJson } from "./devices.ts";
import { ModelJson } from "./models.ts";
import { JobJson } from "./operations.ts";
import { PositionJson } from "./positions.ts";

/** The objects of the API, under the names that the document gives them. */
export const SCHEMAS: Record<string, v.GenericSchema> = {
  Device: DeviceJson,
  Position: PositionJson,
  Command: CommandJson,
  CommandType: CommandTypeJson,
  Model: ModelJson,
  Account: AccountJson,
  ApiKey: ApiKeyJson,
  Bridge: BridgeJson,
  Job: JobJson,
};
