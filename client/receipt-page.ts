import { type PublishedHeads, readHeads, verifyReceipt } from "./receipt.ts";

// Checks the receipt that a page shows, in the browser: its text is in #receipt-text. #receipt-check has the sentences, as
// data-good and data-bad, and shows the one that is true in #receipt-said; it stays hidden without a script.

async function published(): Promise<PublishedHeads> {
  const response = await fetch("/.well-known/ledger-heads.json", { credentials: "omit" });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return readHeads(await response.text());
}

const slot = document.getElementById("receipt-check");
const receipt = document.getElementById("receipt-text");
const said = document.getElementById("receipt-said");
if (slot !== null && receipt !== null && said !== null) {
  slot.hidden = false;
  const text = (receipt.textContent ?? "").trim();
  const { ok, keyId } = await verifyReceipt(text, await published());
  slot.dataset.verified = String(ok);
  said.textContent = ok ? `${slot.dataset.good} ${keyId}` : (slot.dataset.bad ?? "");
}
