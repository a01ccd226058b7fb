import { STYLE } from "./style.ts";

interface Asset {
  mediaType: string;
  text: string;
}

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0b5f66"/><path d="M6 21C10 9 22 9 26 21" fill="none" stroke="#fff" stroke-width="2.4" stroke-linecap="round" stroke-dasharray="1 4.4"/><circle cx="16" cy="12.6" r="3.4" fill="#fff"/></svg>`;

/** Every file that pages load, by the name that a page uses. */
const ASSETS: Readonly<Record<string, Asset>> = {
  "style.css": { mediaType: "text/css; charset=utf-8", text: STYLE },
  "icon.svg": { mediaType: "image/svg+xml", text: ICON },
};

/** FNV-1a, 32 bits: the name changes with the content, so that a browser may keep a file for ever. */
function fingerprint(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}

const named = new Map<string, Asset>();
const paths: Record<string, string> = {};
for (const [name, asset] of Object.entries(ASSETS)) {
  const whole = name.replace(/\.(?=[^.]+$)/, `.${fingerprint(asset.text)}.`);
  named.set(whole, asset);
  paths[name] = `/assets/${whole}`;
}

/** Where a page finds one of ASSETS. */
export function assetPath(name: string): string {
  const path = paths[name];
  if (path === undefined) throw new Error(`No such asset: ${name}`);
  return path;
}

/** @param name with its fingerprint, as in the path. @returns null when there is no such file */
export const assetNamed = (name: string): Asset | null => named.get(name) ?? null;
