/** Every transform under the one suite. */

import { noauth } from "@testudo/transports/noauth";
import { noise, noiseChacha } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";
import { transformConformance } from "./transform.ts";

transformConformance("noauth", () => noauth());
transformConformance("noise", () => noise());
transformConformance("noise-chacha", () => noiseChacha());
transformConformance("shs", () => shs(), { needsKey: true, bindsChain: false });
