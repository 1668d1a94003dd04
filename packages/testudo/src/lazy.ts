/**
 * Lazy: a transport whose code is loaded when it is first used, so that having it costs a start nothing.
 *
 * What is wrong with a section it knows only then: until a first dial or listener, `check` finds no fault,
 * and the dial itself does. It never changes what the transport does.
 */

import type { Transport } from "@testudo/core";

export interface LazyOptions extends Pick<Transport, "name" | "names" | "halfClose"> {
  /** Whether it can listen. Default: true. */
  readonly listens?: boolean;
  load(): Promise<Transport>;
}

export function lazy({ listens = true, load, ...facts }: LazyOptions): Transport {
  let loaded: Transport | undefined;
  const loading = async (): Promise<Transport> => {
    loaded ??= await load();
    return loaded;
  };
  return {
    ...facts,
    check: (section, side) => loaded?.check?.(section, side),
    async dial(section, options) {
      const transport = await loading();
      // Found only now, but it belongs to the reading of the address and not to the dialling.
      options.stage?.("parse");
      transport.check?.(section, "dialer");
      options.stage?.("connect");
      return transport.dial(section, options);
    },
    ...(listens
      ? {
          async listen(section, accept, options) {
            const transport = await loading();
            transport.check?.(section, "listener");
            if (transport.listen === undefined) throw new TypeError(`${facts.name} cannot listen`);
            return transport.listen(section, accept, options);
          },
        }
      : {}),
    advertised: (bound, scope) => loaded?.advertised?.(bound, scope) ?? [bound],
  };
}
