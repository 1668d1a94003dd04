/** What the interop tests use of the published JavaScript packages, which carry no types of their own. */

declare module "multiserver" {
  namespace MultiServer {
    type PullEnd = Error | true | null;
    type PullSource = (abort: PullEnd, next: (end: PullEnd, chunk?: Buffer) => void) => void;

    interface PullStream {
      readonly source: PullSource;
      readonly sink: (source: PullSource) => void;
      /** After `shs` the key that was proved, after `noauth` their own. */
      readonly remote?: Buffer;
      readonly auth?: unknown;
      readonly address?: string;
      meta?: unknown;
    }

    /** A transport or a transform; which of them only multiserver knows. */
    interface Plugin {
      readonly name: string;
    }

    type Done = (error?: Error | null) => void;

    interface Suite {
      readonly name: string;
      client(address: string, done: (error: Error | null, stream?: PullStream) => void): unknown;
      server(
        onConnection: (stream: PullStream) => void,
        onError: (error: Error) => void,
        started: Done,
      ): (closed?: Done) => void;
      stringify(scope?: string): string;
      parse(address: string): unknown;
    }

    interface Keys {
      readonly publicKey: Buffer;
      readonly secretKey: Buffer;
    }
  }
  function MultiServer(
    suites: readonly (readonly MultiServer.Plugin[])[],
    wrap?: (raw: MultiServer.PullStream) => MultiServer.PullStream,
  ): MultiServer.Suite;
  export = MultiServer;
}

declare module "multiserver/plugins/net.js" {
  import type { Plugin } from "multiserver";

  function net(options: Readonly<Record<string, unknown>>): Plugin;
  export = net;
}

declare module "multiserver/plugins/ws.js" {
  import type { Plugin } from "multiserver";

  function ws(options?: Readonly<Record<string, unknown>>): Plugin;
  export = ws;
}

declare module "multiserver/plugins/unix-socket.js" {
  import type { Plugin } from "multiserver";

  function unix(options: Readonly<Record<string, unknown>>): Plugin;
  export = unix;
}

declare module "multiserver/plugins/onion.js" {
  import type { Plugin } from "multiserver";

  function onion(options: Readonly<Record<string, unknown>>): Plugin;
  export = onion;
}

declare module "multiserver/plugins/shs.js" {
  import type { Keys, Plugin } from "multiserver";

  interface ShsOptions {
    readonly keys: Keys;
    readonly appKey: Buffer;
    readonly timeout?: number;
    readonly authenticate?: (
      id: Buffer,
      answer: (error: Error | null, auth?: unknown) => void,
    ) => void;
  }
  function shs(options: ShsOptions): Plugin;
  export = shs;
}

declare module "multiserver/plugins/noauth.js" {
  import type { Keys, Plugin } from "multiserver";

  function noauth(options: { readonly keys: Pick<Keys, "publicKey"> }): Plugin;
  export = noauth;
}

declare module "secret-handshake" {
  import type { Keys } from "multiserver";
  /** From a 32-byte seed. */
  export function toKeys(seed: Buffer): Keys;
}

declare module "ssb-keys" {
  interface SsbKeys {
    readonly curve: "ed25519";
    /** Base64 of 32 bytes, then `.ed25519`. */
    readonly public: string;
    /** Base64 of 64 bytes, then `.ed25519`. */
    readonly private: string;
    /** `@`, then `public`. */
    readonly id: string;
  }
  export function generate(curve?: "ed25519", seed?: Buffer): SsbKeys;
}

declare module "multiserver/compose.js" {
  import type { Plugin } from "multiserver";

  /** One suite: the plugins' readings of an address's sections, `null` when one cannot read its own. */
  function compose(suite: readonly Plugin[]): {
    readonly name: string;
    parse(address: string): unknown;
  };
  export = compose;
}
