export { ENVELOPE_LIMITS, OUTCOME_NAMES, OUTCOMES, type Outcome, TRANSPORTS } from "./envelope-layout.ts";
export { type EntryVisitor, forEachEntry, type RequestEntry, RequestWriter, readRequest } from "./envelope-request.ts";
export {
  type Downlink,
  encodeResponse,
  type Offer,
  type ReadResponse,
  type ResponseParts,
  readResponse,
} from "./envelope-response.ts";
