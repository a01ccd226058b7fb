/** A binding or environment variable that cannot be used. The message names it and never shows its value. */
export class ConfigError extends Error {}
