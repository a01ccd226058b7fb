/** Work on keys and seals, which the platform does beside this thread. */
const WORK = ["decrypt", "importKey", "deriveKey", "deriveBits"] as const;

let under = 0;
let since = 0;
let total = 0;

/** Ms during which at least one seal was being opened or a key for it made, since the process began. */
export const openingMs = (): number => total;

/** Begins to count. The whole process is counted: nothing else may open seals meanwhile. */
export function countOpening(): void {
  const subtle = crypto.subtle as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
  for (const name of WORK) {
    const work = subtle[name]!.bind(crypto.subtle);
    const counted = async (...args: unknown[]) => {
      if (under++ === 0) since = performance.now();
      try {
        return await work(...args);
      } finally {
        if (--under === 0) total += performance.now() - since;
      }
    };
    Object.defineProperty(crypto.subtle, name, { value: counted, configurable: true });
  }
}
