import { passkey } from "./islands/passkey.js";
import { sealingKey } from "./islands/sealing-key.js";
import { STYLE } from "./style.ts";

interface Asset {
  text: string;
}

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0b5f66"/><path d="M6 21C10 9 22 9 26 21" fill="none" stroke="#fff" stroke-width="2.4" stroke-linecap="round" stroke-dasharray="1 4.4"/><circle cx="16" cy="12.6" r="3.4" fill="#fff"/></svg>`;

/**
 * Every file that pages load, by the name that a page uses: stylesheets, icons and islands. Only src/http/files.ts
 * imports this: what is here is served beside the Worker and is not in it.
 */
export const ASSETS: Readonly<Record<string, Asset>> = {
  "style.css": { text: STYLE },
  "icon.svg": { text: ICON },
  "passkey.js": { text: `(${passkey})();\n` },
  "sealing-key.js": { text: `(${sealingKey})();\n` },
};

/** The name under which a file is served. It changes with the content, so that a browser may keep a file for ever. */
export function fingerprinted(name: string, text: string): string {
  // FNV-1a, 32 bits.
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return name.replace(/\.(?=[^.]+$)/, `.${(hash >>> 0).toString(16).padStart(8, "0")}.`);
}
