/** Every transform under the one suite. */

import { gzip } from "@testudo/transports/gzip";
import { noauth } from "@testudo/transports/noauth";
import { noise, noiseChacha } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";
import { transformConformance } from "./transform.ts";

transformConformance("noauth", () => noauth());
transformConformance("noise", () => noise());
transformConformance("noise-chacha", () => noiseChacha());
transformConformance("shs", () => shs(), { needsKey: true, bindsChain: false });
transformConformance("gzip", () => gzip(), { goodbye: true, fixedOverhead: false });
transformConformance("gzip at its fastest", () => gzip({ level: 1 }), {
  goodbye: true,
  fixedOverhead: false,
});
