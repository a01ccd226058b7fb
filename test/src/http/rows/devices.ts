import { anImei } from "../../../database.ts";
import { at, CUSTOMERS, READERS, type Rows, type Things, WRITERS } from "./row.ts";

const SUPPORT = ["adminToken", "admin", "support"] as const;

const ofDevice = (rest: string) => (things: Things) => `/devices/${things.device}${rest}`;

async function loaded({ api }: Things): Promise<string> {
  const imei = anImei();
  await api.call("POST", "/v1/admin/activations", { key: api.admin, body: { devices: [{ imei }] } });
  return imei;
}

export const DEVICES_ROWS: Rows = {
  "GET /v1/devices/{id}/setup": {
    who: READERS,
    path: (things) => `/v1/devices/${things.device}/setup`,
    status: 200,
    owned: true,
  },
  "POST /v1/admin/activations": {
    who: SUPPORT,
    path: at("/v1/admin/activations"),
    body: () => ({ devices: [{ imei: anImei(), model: "T366", code: null }] }),
    status: 201,
  },
  "POST /v1/admin/activations/csv": {
    who: SUPPORT,
    path: at("/v1/admin/activations/csv"),
    body: () => new TextEncoder().encode(`imei,model,code\n${anImei()},T366,7KQ2M-X4T9B\n`),
    status: 201,
  },
  "GET /v1/admin/activations": { who: SUPPORT, path: at("/v1/admin/activations"), status: 200 },
  "POST /v1/admin/activations/remove": {
    who: SUPPORT,
    path: at("/v1/admin/activations/remove"),
    body: async (things) => ({ imei: await loaded(things) }),
    status: 204,
  },
  "POST /v1/admin/activations/label": {
    who: SUPPORT,
    path: at("/v1/admin/activations/label"),
    body: () => ({ imei: anImei(), code: "7KQ2M-X4T9B" }),
    status: 200,
  },
  "GET /devices": { who: CUSTOMERS, path: at("/devices"), status: 200 },
  "GET /devices/new": { who: WRITERS, path: at("/devices/new"), status: 200, as: "owner" },
  "POST /devices/new": {
    who: WRITERS,
    path: at("/devices/new"),
    body: () => ({ act: "add", imei: anImei(), code: "", name: "Van", model: "" }),
    status: 303,
    as: "manager",
  },
  "GET /devices/{id}": { who: CUSTOMERS, path: ofDevice(""), status: 200, owned: true },
  "POST /devices/{id}": {
    who: CUSTOMERS,
    path: ofDevice(""),
    body: () => ({ act: "setUp", apn: "internet", intervalS: "60", mode: "tcp" }),
    status: 200,
    owned: true,
  },
  "GET /devices/{id}/remove": {
    who: WRITERS,
    path: ofDevice("/remove"),
    status: 200,
    as: "owner",
    owned: true,
  },
  "POST /devices/{id}/remove": {
    who: WRITERS,
    path: async (things) => `/devices/${await things.spareDevice()}/remove`,
    body: () => ({ act: "remove" }),
    status: 303,
    as: "owner",
    owned: true,
  },
};
