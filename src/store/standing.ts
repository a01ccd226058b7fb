/** What the database says of a caller beside who it is. */
export interface Admitted {
  standing: "good" | "unaccepted" | "suspended" | "closing";
  /** Ids of the only devices that it may see; null: all of the account's. */
  devices: readonly number[] | null;
}

/**
 * The standing of the account `a`: a column of a statement whose arguments are the present time, twice. A material
 * version that is in force and newer than the accepted one waits for acceptance; an account that the operator opened
 * has no accepted version and waits for none.
 */
export const ACCOUNT_STANDING = `CASE
  WHEN a.state <> 'active' THEN a.state
  WHEN EXISTS (SELECT 1 FROM documents WHERE kind = 'privacy' AND material = 1 AND effective_at <= ? AND version > a.privacy_accepted)
    OR EXISTS (SELECT 1 FROM documents WHERE kind = 'terms' AND material = 1 AND effective_at <= ? AND version > a.terms_accepted)
  THEN 'unaccepted' ELSE 'good' END`;

export function admittedOf(standing: unknown, devices: unknown): Admitted {
  return {
    standing: standing as Admitted["standing"],
    devices: devices === null ? null : (JSON.parse(devices as string) as number[]),
  };
}
