-- People: users with their sessions and factors, what they accepted, brands, activation lists, and the operator's records.

-- An account that the operator opens has accepted outside of the platform: its versions are NULL and hold nothing back.
ALTER TABLE accounts ADD COLUMN state TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('unverified', 'active', 'suspended', 'closing'));
ALTER TABLE accounts ADD COLUMN state_reason TEXT;
ALTER TABLE accounts ADD COLUMN payment_mode TEXT CHECK (payment_mode IN ('card', 'transfer', 'wallet', 'invoice'));
ALTER TABLE accounts ADD COLUMN privacy_accepted INTEGER;
ALTER TABLE accounts ADD COLUMN terms_accepted INTEGER;
CREATE INDEX accounts_unverified ON accounts (created_at) WHERE state = 'unverified';

-- Customers' users and, without an account, the operator's staff.
CREATE TABLE users (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER REFERENCES accounts (id) ON DELETE CASCADE,
  role TEXT NOT NULL CHECK (role IN ('owner', 'manager', 'viewer', 'admin', 'support', 'privacy', 'finance')),
  email TEXT NOT NULL UNIQUE,
  email_verified_at INTEGER,
  name TEXT,
  mobile TEXT,
  mobile_verified_at INTEGER,
  password_hash TEXT,
  language TEXT NOT NULL DEFAULT 'en' CHECK (length(language) BETWEEN 2 AND 8),
  units TEXT NOT NULL DEFAULT 'metric' CHECK (units IN ('metric', 'imperial')),
  time_zone TEXT NOT NULL DEFAULT 'UTC' CHECK (length(time_zone) <= 64),
  personalisation INTEGER NOT NULL DEFAULT 0 CHECK (personalisation IN (0, 1)),
  search_history INTEGER NOT NULL DEFAULT 0 CHECK (search_history IN (0, 1)),
  device_limited INTEGER NOT NULL DEFAULT 0 CHECK (device_limited IN (0, 1)),
  totp_secret TEXT,
  totp_since INTEGER,
  totp_last_step INTEGER,
  training_valid_until INTEGER,
  created_at INTEGER NOT NULL,
  last_sign_in_at INTEGER,
  disabled_at INTEGER,
  CHECK ((account_id IS NULL) = (role IN ('admin', 'support', 'privacy', 'finance')))
) STRICT;
CREATE INDEX users_of_account ON users (account_id, id);

-- The devices of a user with device_limited = 1.
CREATE TABLE user_devices (
  user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  device_id INTEGER NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
  may_edit INTEGER NOT NULL DEFAULT 0 CHECK (may_edit IN (0, 1)),
  PRIMARY KEY (user_id, device_id)
) STRICT;
CREATE INDEX user_devices_of_device ON user_devices (device_id);

ALTER TABLE api_keys ADD COLUMN made_by INTEGER REFERENCES users (id) ON DELETE SET NULL;
ALTER TABLE api_keys ADD COLUMN expires_at INTEGER;
ALTER TABLE api_keys ADD COLUMN device_limited INTEGER NOT NULL DEFAULT 0 CHECK (device_limited IN (0, 1));
CREATE INDEX api_keys_made_by ON api_keys (made_by) WHERE made_by IS NOT NULL;

-- The devices of a key with device_limited = 1.
CREATE TABLE key_devices (
  key_id INTEGER NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
  device_id INTEGER NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
  PRIMARY KEY (key_id, device_id)
) STRICT;
CREATE INDEX key_devices_of_device ON key_devices (device_id);

CREATE TABLE addresses (
  account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  kind TEXT NOT NULL CHECK (kind IN ('shipping', 'billing')),
  recipient TEXT,
  line1 TEXT NOT NULL,
  line2 TEXT,
  city TEXT NOT NULL,
  region TEXT,
  postcode TEXT,
  country TEXT NOT NULL CHECK (length(country) = 2),
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (account_id, kind)
) STRICT;

CREATE TABLE sessions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  hash TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  last_seen_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  proved_at INTEGER NOT NULL,
  second_factor INTEGER NOT NULL DEFAULT 0 CHECK (second_factor IN (0, 1)),
  browser TEXT,
  network TEXT
) STRICT;
CREATE INDEX sessions_of_user ON sessions (user_id, id);
CREATE INDEX sessions_expiry ON sessions (expires_at);
CREATE INDEX sessions_network ON sessions (created_at) WHERE network IS NOT NULL;

CREATE TABLE passkeys (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  credential_id TEXT NOT NULL UNIQUE,
  algorithm INTEGER NOT NULL CHECK (algorithm IN (-7, -8, -257)),
  public_key BLOB NOT NULL,
  sign_count INTEGER NOT NULL,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  last_used_at INTEGER
) STRICT;
CREATE INDEX passkeys_of_user ON passkeys (user_id, id);

CREATE TABLE recovery_codes (
  user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  hash TEXT NOT NULL,
  PRIMARY KEY (user_id, hash)
) STRICT;

-- Secrets that work once: links in mails, pending sign-ins, challenges.
CREATE TABLE tokens (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL CHECK (kind IN ('signup', 'reset', 'email', 'mobile', 'invite', 'setup', 'sign_in', 'passkey', 'report')),
  hash TEXT NOT NULL UNIQUE,
  user_id INTEGER REFERENCES users (id) ON DELETE CASCADE,
  sealed TEXT,
  attempts INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX tokens_of_user ON tokens (user_id, kind);
CREATE INDEX tokens_expiry ON tokens (expires_at);

-- Failures counted against a keyed hash of what was tried: an address, an IMEI, a session.
CREATE TABLE throttles (
  key TEXT PRIMARY KEY,
  failures INTEGER NOT NULL,
  blocked_until INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX throttles_expiry ON throttles (expires_at);

-- Mails that wait to be sent. The address and the text are sealed, and the row goes when it is sent.
CREATE TABLE mails (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id INTEGER REFERENCES users (id) ON DELETE CASCADE,
  kind TEXT NOT NULL CHECK (length(kind) <= 40),
  sealed TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  due_at INTEGER NOT NULL
) STRICT;
CREATE INDEX mails_due ON mails (due_at);

-- Published texts. A row is never changed; a new text is a new version.
CREATE TABLE documents (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL CHECK (kind IN ('privacy', 'terms', 'notice')),
  product TEXT NOT NULL DEFAULT '',
  region TEXT NOT NULL DEFAULT '',
  version INTEGER NOT NULL CHECK (version >= 1),
  language TEXT NOT NULL CHECK (length(language) BETWEEN 2 AND 8),
  title TEXT NOT NULL,
  body TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  material INTEGER NOT NULL CHECK (material IN (0, 1)),
  template INTEGER NOT NULL DEFAULT 0 CHECK (template IN (0, 1)),
  published_at INTEGER NOT NULL,
  effective_at INTEGER NOT NULL,
  published_by INTEGER REFERENCES users (id) ON DELETE SET NULL
) STRICT;
CREATE UNIQUE INDEX documents_version ON documents (kind, product, region, version, language);
CREATE TRIGGER documents_fixed BEFORE UPDATE OF kind, product, region, version, language, title, body, sha256, material, effective_at ON documents
BEGIN SELECT RAISE(ABORT, 'a published document is never changed'); END;

CREATE TABLE acceptances (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  user_id INTEGER REFERENCES users (id) ON DELETE SET NULL,
  document_id INTEGER NOT NULL REFERENCES documents (id),
  kind TEXT NOT NULL CHECK (kind IN ('privacy', 'terms', 'notice')),
  version INTEGER NOT NULL,
  language TEXT NOT NULL CHECK (length(language) BETWEEN 2 AND 8),
  sha256 TEXT NOT NULL,
  brand_texts TEXT,
  accepted_at INTEGER NOT NULL
) STRICT;
CREATE INDEX acceptances_of_account ON acceptances (account_id, id);
CREATE INDEX acceptances_of_user ON acceptances (user_id) WHERE user_id IS NOT NULL;

-- One hostname, one brand.
CREATE TABLE brands (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  hostname TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  accent TEXT CHECK (accent GLOB '#[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  logo BLOB,
  logo_type TEXT CHECK (logo_type IN ('image/png', 'image/jpeg', 'image/webp')),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

-- A reseller's own policy and terms, by language: a link or a text.
CREATE TABLE brand_texts (
  brand_id INTEGER NOT NULL REFERENCES brands (id) ON DELETE CASCADE,
  kind TEXT NOT NULL CHECK (kind IN ('privacy', 'terms')),
  language TEXT NOT NULL CHECK (length(language) BETWEEN 2 AND 8),
  url TEXT,
  body TEXT,
  sha256 TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (brand_id, kind, language),
  CHECK ((url IS NULL) <> (body IS NULL))
) STRICT;

-- Trackers that were sold, each with a code that activates it once.
CREATE TABLE activations (
  imei TEXT PRIMARY KEY,
  model TEXT,
  firmware TEXT,
  order_reference TEXT,
  code_hash TEXT NOT NULL,
  loaded_at INTEGER NOT NULL,
  activated_at INTEGER,
  account_id INTEGER REFERENCES accounts (id) ON DELETE CASCADE
) STRICT;
CREATE INDEX activations_of_account ON activations (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX activations_loaded ON activations (loaded_at, imei);

CREATE TABLE settings (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

-- What people and the operator did. Ids and fixed words; the reason is the operator's own sentence.
CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL CHECK (actor IN ('admin_token', 'staff', 'user', 'key', 'job', 'system')),
  actor_id INTEGER,
  action TEXT NOT NULL CHECK (length(action) <= 60),
  account_id INTEGER,
  subject TEXT,
  reason TEXT
) STRICT;
CREATE INDEX audit_of_account ON audit (account_id, id) WHERE account_id IS NOT NULL;
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_of_person ON audit (actor_id, id) WHERE actor IN ('user', 'staff');
-- Sign-ins are kept for a month only.
CREATE INDEX audit_sessions ON audit (at) WHERE action IN ('session.opened', 'session.ended');

-- The customer lets the operator's staff see locations for a while, and sees each look.
CREATE TABLE support_windows (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  opened_by INTEGER REFERENCES users (id) ON DELETE SET NULL,
  opened_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  closed_at INTEGER
) STRICT;
CREATE INDEX support_windows_of_account ON support_windows (account_id, id);

CREATE TABLE looks (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  window_id INTEGER NOT NULL,
  actor TEXT NOT NULL CHECK (actor IN ('admin_token', 'staff')),
  staff_id INTEGER,
  device_id INTEGER,
  what TEXT NOT NULL CHECK (length(what) <= 60),
  at INTEGER NOT NULL
) STRICT;
CREATE INDEX looks_of_account ON looks (account_id, id);

-- Only for users who switched it on.
CREATE TABLE searches (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  term TEXT NOT NULL,
  searched_at INTEGER NOT NULL
) STRICT;
CREATE INDEX searches_of_user ON searches (user_id, id);
CREATE INDEX searches_at ON searches (searched_at);

-- Personalisation: the devices that a user looked at last. No row for who did not switch it on.
CREATE TABLE recent_devices (
  user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  device_id INTEGER NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
  seen_at INTEGER NOT NULL,
  PRIMARY KEY (user_id, device_id)
) STRICT;
CREATE INDEX recent_devices_of_device ON recent_devices (device_id);

-- When each bridge last delivered; 0 is the configured one.
CREATE TABLE bridge_seen (
  bridge_id INTEGER PRIMARY KEY,
  last_seen_at INTEGER NOT NULL
) STRICT;
