// The key store: secrets that can be destroyed for good, in places that keep no history (Base.secrets). This is its door;
// what is behind it imports nothing from here.
//
//   vault-object.ts    an object with its secrets, as it is wrapped
//   vault-copies.ts    two live copies and the escrow
//   vault-cache.ts     what an isolate remembers, and for how long
//   vault-shred.ts     destructions, and the list of them that other isolates read
//   vault-segments.ts  keys of a day and a device
//   vault-own.ts       keys of an account, of an inbox, of the installation
//   vault-destroy.ts   which secrets go
//   vault-upkeep.ts    escrow, rotation of the root key, restore

export {
  destroyAccount,
  destroyDays,
  destroyDaysOf,
  destroyDevice,
  destroyDeviceSecret,
  destroyOldOwnSecrets,
  deviceKids,
  OTHER_SCOPES,
  ownSecretsOf,
  rotateDevice,
  rotateOwnSecret,
  secretsLeft,
} from "./vault-destroy.ts";
export {
  accountHashKey,
  accountKey,
  accountKeys,
  blindKey,
  destroyInboxKeys,
  inboxKey,
  newInboxKey,
} from "./vault-own.ts";
export {
  keyShares,
  type OpeningWish,
  openingKeys,
  type SealingKey,
  type SealingWish,
  sealingKeys,
} from "./vault-segments.ts";
export {
  checkKeys,
  type KeyCheck,
  refreshEscrow,
  restoreFromEscrow,
  restoreSome,
  rewrap,
  rewrapSome,
} from "./vault-upkeep.ts";
