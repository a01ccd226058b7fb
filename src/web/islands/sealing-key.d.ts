/** Runs in the browser, as the text of an asset. */
export function sealingKey(): void;
