import type { SQLiteTable } from "drizzle-orm/sqlite-core";
import type * as schema from "./schema.ts";

/**
 * How a column is treated. none: says nothing about anyone. personal: about a person, alone or with other columns.
 * sensitive: whereabouts. pseudonymous: an id or a keyed hash that stands for a person. secret: opens something; it
 * never leaves the database.
 */
export const CLASSES = ["none", "personal", "sensitive", "pseudonymous", "secret"] as const;
export type Class = (typeof CLASSES)[number];

/** The statement's kinds of data (clause 4): 4a account, 4b device, location and log, 4c profile, 4d other; and the operation. */
export const CATEGORIES = ["account", "device", "location", "log", "profile", "other", "operation"] as const;
export type Category = (typeof CATEGORIES)[number];

type Tables = { [K in keyof typeof schema as (typeof schema)[K] extends SQLiteTable ? K : never]: (typeof schema)[K] };
type DataMap = {
  [T in keyof Tables]: {
    /** Whose the rows are: `account`, `user` and `device` by a column of that name, `platform` nobody's. */
    of: "account" | "user" | "device" | "platform";
    columns: { [C in keyof Tables[T]["_"]["columns"]]: `${Class} ${Category}` };
  };
};

/**
 * Every column of every table. A column of schema.ts without a row here does not compile; a test compares with the
 * catalogue of the migrated database.
 */
export const DATA_MAP = {
  accounts: {
    of: "account",
    columns: {
      id: "pseudonymous account",
      name: "personal account",
      createdAt: "personal account",
      state: "personal account",
      stateReason: "personal account",
      paymentMode: "personal account",
      privacyAccepted: "personal account",
      termsAccepted: "personal account",
      timeZone: "personal profile",
      retentionDays: "personal account",
      retentionVersion: "none operation",
      collection: "personal account",
    },
  },
  users: {
    of: "user",
    columns: {
      id: "pseudonymous account",
      accountId: "pseudonymous account",
      role: "personal account",
      email: "personal account",
      emailVerifiedAt: "personal account",
      name: "personal account",
      mobile: "personal account",
      mobileVerifiedAt: "personal account",
      passwordHash: "secret account",
      language: "personal profile",
      units: "personal profile",
      timeZone: "personal profile",
      personalisation: "personal profile",
      searchHistory: "personal profile",
      deviceLimited: "personal account",
      totpSecret: "secret account",
      totpSince: "personal account",
      totpLastStep: "none operation",
      trainingValidUntil: "personal account",
      createdAt: "personal account",
      lastSignInAt: "personal log",
      disabledAt: "personal account",
    },
  },
  userDevices: {
    of: "user",
    columns: { userId: "pseudonymous account", deviceId: "pseudonymous device", mayEdit: "personal account" },
  },
  apiKeys: {
    of: "account",
    columns: {
      id: "pseudonymous account",
      accountId: "pseudonymous account",
      name: "personal account",
      scope: "personal account",
      hash: "secret account",
      createdAt: "personal account",
      lastUsedAt: "personal log",
      revokedAt: "personal account",
      madeBy: "pseudonymous account",
      expiresAt: "personal account",
      deviceLimited: "personal account",
    },
  },
  keyDevices: { of: "account", columns: { keyId: "pseudonymous account", deviceId: "pseudonymous device" } },
  addresses: {
    of: "account",
    columns: {
      accountId: "pseudonymous account",
      kind: "personal account",
      recipient: "personal account",
      line1: "personal account",
      line2: "personal account",
      city: "personal account",
      region: "personal account",
      postcode: "personal account",
      country: "personal account",
      updatedAt: "personal account",
    },
  },
  sessions: {
    of: "user",
    columns: {
      id: "pseudonymous log",
      userId: "pseudonymous account",
      hash: "secret account",
      createdAt: "personal log",
      lastSeenAt: "personal log",
      expiresAt: "personal log",
      provedAt: "personal log",
      secondFactor: "personal log",
      browser: "personal log",
      network: "personal log",
    },
  },
  passkeys: {
    of: "user",
    columns: {
      id: "pseudonymous account",
      userId: "pseudonymous account",
      credentialId: "secret account",
      algorithm: "none operation",
      publicKey: "secret account",
      signCount: "none operation",
      name: "personal account",
      createdAt: "personal account",
      lastUsedAt: "personal log",
    },
  },
  recoveryCodes: { of: "user", columns: { userId: "pseudonymous account", hash: "secret account" } },
  tokens: {
    of: "user",
    columns: {
      id: "pseudonymous account",
      kind: "personal account",
      hash: "secret account",
      userId: "pseudonymous account",
      sealed: "secret account",
      attempts: "none operation",
      createdAt: "personal log",
      expiresAt: "personal log",
    },
  },
  throttles: {
    of: "platform",
    columns: {
      key: "pseudonymous log",
      failures: "none operation",
      blockedUntil: "none operation",
      expiresAt: "none operation",
    },
  },
  mails: {
    of: "user",
    columns: {
      id: "pseudonymous other",
      userId: "pseudonymous account",
      kind: "personal other",
      sealed: "secret other",
      attempts: "none operation",
      createdAt: "personal other",
      dueAt: "none operation",
    },
  },
  documents: {
    of: "platform",
    columns: {
      id: "none operation",
      kind: "none operation",
      product: "none operation",
      region: "none operation",
      version: "none operation",
      language: "none operation",
      title: "none operation",
      body: "none operation",
      sha256: "none operation",
      material: "none operation",
      template: "none operation",
      publishedAt: "none operation",
      effectiveAt: "none operation",
      publishedBy: "pseudonymous operation",
    },
  },
  acceptances: {
    of: "account",
    columns: {
      id: "pseudonymous account",
      accountId: "pseudonymous account",
      userId: "pseudonymous account",
      documentId: "none operation",
      kind: "personal account",
      version: "personal account",
      language: "personal account",
      sha256: "personal account",
      brandTexts: "personal account",
      acceptedAt: "personal account",
    },
  },
  brands: {
    of: "platform",
    columns: {
      id: "none operation",
      hostname: "none operation",
      name: "none operation",
      accent: "none operation",
      logo: "none operation",
      logoType: "none operation",
      createdAt: "none operation",
      updatedAt: "none operation",
    },
  },
  brandTexts: {
    of: "platform",
    columns: {
      brandId: "none operation",
      kind: "none operation",
      language: "none operation",
      url: "none operation",
      body: "none operation",
      sha256: "none operation",
      updatedAt: "none operation",
    },
  },
  activations: {
    of: "account",
    columns: {
      imei: "personal device",
      model: "personal device",
      firmware: "personal device",
      orderReference: "personal account",
      codeHash: "secret device",
      loadedAt: "personal device",
      activatedAt: "personal device",
      accountId: "pseudonymous account",
    },
  },
  settings: {
    of: "platform",
    columns: { name: "none operation", value: "none operation", updatedAt: "none operation" },
  },
  audit: {
    of: "account",
    columns: {
      id: "pseudonymous log",
      at: "personal log",
      actor: "personal log",
      actorId: "pseudonymous log",
      action: "personal log",
      accountId: "pseudonymous account",
      subject: "pseudonymous log",
      reason: "personal log",
    },
  },
  supportWindows: {
    of: "account",
    columns: {
      id: "pseudonymous log",
      accountId: "pseudonymous account",
      openedBy: "pseudonymous account",
      openedAt: "personal log",
      expiresAt: "personal log",
      closedAt: "personal log",
    },
  },
  looks: {
    of: "account",
    columns: {
      id: "pseudonymous log",
      accountId: "pseudonymous account",
      windowId: "pseudonymous log",
      actor: "personal log",
      staffId: "pseudonymous log",
      deviceId: "pseudonymous device",
      what: "personal log",
      at: "personal log",
    },
  },
  searches: {
    of: "user",
    columns: {
      id: "pseudonymous other",
      userId: "pseudonymous account",
      term: "personal other",
      searchedAt: "personal other",
    },
  },
  recentDevices: {
    of: "user",
    columns: { userId: "pseudonymous account", deviceId: "pseudonymous device", seenAt: "personal profile" },
  },
  bridgeSeen: { of: "platform", columns: { bridgeId: "none operation", lastSeenAt: "none operation" } },
  bridges: {
    of: "platform",
    columns: {
      id: "none operation",
      name: "none operation",
      hash: "secret operation",
      createdAt: "none operation",
      revokedAt: "none operation",
    },
  },
  devices: {
    of: "account",
    columns: {
      id: "pseudonymous device",
      accountId: "pseudonymous account",
      imei: "personal device",
      name: "personal device",
      model: "personal device",
      clockOffsetMinutes: "personal device",
      confirmCce: "personal device",
      createdAt: "personal device",
      deletingAt: "none operation",
      groupId: "pseudonymous device",
      retentionDays: "personal device",
      retentionFloor: "none operation",
      rescopedAt: "none operation",
    },
  },
  deviceGroups: {
    of: "account",
    columns: {
      id: "pseudonymous device",
      accountId: "pseudonymous account",
      name: "personal device",
      retentionDays: "personal device",
      createdAt: "personal device",
    },
  },
  purges: {
    of: "account",
    columns: { accountId: "pseudonymous account", day: "personal log", positions: "personal log" },
  },
  positions: {
    of: "device",
    columns: {
      id: "pseudonymous location",
      accountId: "pseudonymous account",
      deviceId: "pseudonymous device",
      fixTime: "sensitive location",
      digest: "pseudonymous location",
      receivedAt: "personal location",
      clock: "personal location",
      event: "personal location",
      valid: "personal location",
      record: "sensitive location",
    },
  },
  latest: {
    of: "device",
    columns: {
      deviceId: "pseudonymous device",
      positionId: "pseudonymous location",
      fixTime: "sensitive location",
      receivedAt: "personal location",
      clock: "personal location",
      record: "sensitive location",
    },
  },
  inbox: {
    of: "platform",
    columns: {
      id: "pseudonymous location",
      positions: "none operation",
      receivedAt: "none operation",
      kid: "none operation",
      nonce: "none operation",
      shift: "none operation",
      directory: "none operation",
      chunks: "secret location",
    },
  },
  runs: {
    of: "platform",
    columns: {
      id: "pseudonymous location",
      positions: "none operation",
      receivedAt: "none operation",
      kid: "none operation",
      nonce: "none operation",
      directory: "none operation",
      chunks: "secret location",
    },
  },
  parts: {
    of: "platform",
    columns: {
      id: "none operation",
      settled: "none operation",
      positions: "none operation",
      oldest: "none operation",
    },
  },
  settlement: {
    of: "platform",
    columns: {
      id: "none operation",
      kid: "none operation",
      kidSince: "none operation",
      merged: "none operation",
      span: "none operation",
      holder: "none operation",
      heldUntil: "none operation",
    },
  },
  segments: {
    of: "device",
    columns: {
      id: "pseudonymous location",
      deviceId: "pseudonymous device",
      accountId: "pseudonymous account",
      dayKid: "pseudonymous location",
      deviceKid: "pseudonymous location",
      fromTime: "sensitive location",
      toTime: "sensitive location",
      dueFrom: "personal location",
      dueTo: "personal location",
      firstId: "pseudonymous location",
      lastId: "pseudonymous location",
      positions: "personal location",
      alarms: "personal location",
      clockless: "personal location",
      sealed: "sensitive location",
    },
  },
  newest: {
    of: "account",
    columns: { id: "pseudonymous device", accountId: "pseudonymous account", fixes: "sensitive location" },
  },
  commands: {
    of: "device",
    columns: {
      id: "pseudonymous log",
      deviceId: "pseudonymous device",
      accountId: "pseudonymous account",
      code: "personal log",
      arguments: "personal log",
      identifier: "none operation",
      frame: "personal log",
      state: "personal log",
      createdAt: "personal log",
      expiresAt: "personal log",
      sentAt: "personal log",
      answeredAt: "personal log",
      bridgeId: "none operation",
      reply: "sensitive log",
    },
  },
  idempotencyKeys: {
    of: "account",
    columns: {
      accountId: "pseudonymous account",
      key: "pseudonymous log",
      requestHash: "pseudonymous log",
      status: "none operation",
      response: "personal log",
      createdAt: "personal log",
      expiresAt: "none operation",
    },
  },
  unclaimed: {
    of: "platform",
    columns: {
      imei: "personal device",
      firstSeen: "personal log",
      lastSeen: "personal log",
      frames: "personal log",
    },
  },
  registry: { of: "platform", columns: { id: "none operation", version: "none operation" } },
  jobRuns: {
    of: "platform",
    columns: {
      id: "none operation",
      name: "none operation",
      startedAt: "none operation",
      finishedAt: "none operation",
      state: "none operation",
      changed: "none operation",
      error: "none operation",
    },
  },
  migrations: { of: "platform", columns: { name: "none operation", appliedAt: "none operation" } },
} as const satisfies DataMap;
