import { suite } from "./suite.ts";

suite("deno");
