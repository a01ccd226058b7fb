import type { Text } from "./text/index.ts";

/** What a person can give, and what is known of a tracker. `required` is the least that an account needs. */
export const GIVEN = {
  email: { category: "account", required: true },
  name: { category: "account", required: false },
  mobile: { category: "account", required: false },
  shippingAddress: { category: "account", required: false },
  billingAddress: { category: "account", required: false },
  paymentMode: { category: "account", required: false },
  language: { category: "profile", required: false },
  units: { category: "profile", required: false },
  timeZone: { category: "profile", required: false },
  personalisation: { category: "profile", required: false },
  searchHistory: { category: "other", required: false },
  imei: { category: "device", required: false },
  location: { category: "location", required: false },
} as const satisfies Record<string, { category: string; required: boolean }>;
export type Given = keyof typeof GIVEN;

/** The services that there are, and what each cannot do without (statement, clause 2). No service needs more than its row. */
export const SERVICES = {
  account: ["email"],
  notices: ["email"],
  trackers: ["imei"],
  map: ["imei", "location"],
  commands: ["imei"],
  delivery: ["shippingAddress"],
  invoices: ["billingAddress", "paymentMode"],
  recentSearches: ["searchHistory"],
  recentDevices: ["personalisation"],
} as const satisfies Record<string, readonly Given[]>;
export type Service = keyof typeof SERVICES;

/** The services that stop without a field, in the order of the table; none for most. */
export const servicesOf = (field: Given): Service[] =>
  (Object.keys(SERVICES) as Service[]).filter((service) => (SERVICES[service] as readonly Given[]).includes(field));

/** What stops working without a field, as a sentence to stand beside it. */
export const lossOf = (field: Given, text: Text): string => text.profile.losses[field];
