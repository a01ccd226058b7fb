/**
 * The address that a request is counted under, where no platform tells it.
 * @param peer who holds the connection
 * @param proxyHeader what the proxy in front writes the client's address into; absent: there is none, and whatever a
 *   client sends of itself is not believed
 */
export function clientAddress(headers: Headers, peer: string, proxyHeader: string | undefined): string {
  // Of a list such as X-Forwarded-For the proxy wrote the last one; those before it are what the client said.
  const told = proxyHeader === undefined ? undefined : headers.get(proxyHeader)?.split(",").at(-1)?.trim();
  return told === undefined || told === "" ? peer : told;
}
