/**
 * `testudo pipe`: netcat over a stack's byte connection, below the message layer.
 *
 * stdout carries the bytes and nothing else; everything it says goes to stderr. A connection that ends
 * without the goodbye its transform has is a failure: what was read may be half of what was sent.
 */

import {
  type Deferred,
  deferred,
  MultiServer,
  MultiStream,
  networkError,
  parseAddress,
  systemRuntime,
} from "@testudo/core";
import type { Command, CommandContext } from "../command.ts";
import { copyBothWays, echo } from "../copy.ts";
import { failureOf, UsageError } from "../failure.ts";
import { withProblems } from "../node.ts";
import type { Usable } from "../protocols.ts";
import { DIAL_OPTIONS, LISTEN_OPTIONS, NODE_OPTIONS, readSettings } from "../settings.ts";

export const pipe: Command = {
  about:
    "stdin to the stream, the stream to stdout. Each direction ends by itself; what is said goes to\nstderr. An address without a transform (net:127.0.0.1:9000) is the bare transport.",
  usage: ["pipe <address>", "pipe --listen <address> [--echo]"],
  options: {
    listen: { help: "wait for one connection instead of dialling" },
    echo: { help: "with --listen: send back what comes, to any number of connections" },
    ...LISTEN_OPTIONS,
    ...DIAL_OPTIONS,
    ...NODE_OPTIONS,
  },
  positionals: [1, 1],
  events: "stderr",
  run,
};

/** Connections that `--echo` serves at once, wherever they come from; a further one is refused. */
const MAX_CONNECTIONS = 1_024;

async function run(context: CommandContext): Promise<undefined> {
  const { args } = context;
  const listening = args.flag("listen");
  for (const name of listening ? [] : ["echo", ...Object.keys(LISTEN_OPTIONS)]) {
    if (args.has(name)) throw new UsageError(`--${name} needs --listen`);
  }
  for (const name of listening ? Object.keys(DIAL_OPTIONS) : []) {
    if (args.has(name)) throw new UsageError(`--${name} is for dialling, without --listen`);
  }
  const settings = await readSettings(context);
  const usable = await settings.protocols.usable(args.positionals[0] ?? "", {
    side: listening ? "listener" : "dialer",
    bare: true,
  });
  const { identity, networkId, allowPublicNoauth, choice } = settings;
  const node = new MultiServer(await settings.protocols.stacks(), {
    ...choice,
    identity,
    networkId,
    allowPublicNoauth,
    limits: { maxPeers: MAX_CONNECTIONS, maxPeersPerAddress: MAX_CONNECTIONS },
  });
  if (!listening) await dial(context, node, usable);
  else if (args.flag("echo")) await serve(context, node, usable);
  else await listenOnce(context, node, usable);
}

async function dial(
  { io, out, leave }: CommandContext,
  node: MultiServer,
  usable: Usable,
): Promise<void> {
  let stream: MultiStream;
  try {
    stream = await node.client(usable.text, { signal: leave });
  } catch (error) {
    throw leave.aborted ? leave.reason : withProblems(error, usable);
  }
  void out.event("connected", described(stream));
  await copyBothWays(stream, io, { halfClose: stream.halfClose, leave });
}

async function listenOnce(
  context: CommandContext,
  node: MultiServer,
  usable: Usable,
): Promise<void> {
  const { io, out, leave } = context;
  const first: Deferred<MultiStream | undefined> = deferred();
  let taken = false;
  const close = await listenAt(context, node, usable, (stream) => {
    if (taken || leave.aborted) {
      stream.abort(new Error("another connection came first"));
      return;
    }
    taken = true;
    first.resolve(stream);
  });
  const none = (): void => first.resolve(undefined);
  leave.addEventListener("abort", none, { once: true });
  if (leave.aborted) none();
  const stream = await first.promise;
  leave.removeEventListener("abort", none);
  await close();
  if (stream === undefined) return;
  void out.event("connected", described(stream), `connected: ${stream.address}`);
  await copyBothWays(stream, io, { halfClose: stream.halfClose, leave });
}

async function serve(context: CommandContext, node: MultiServer, usable: Usable): Promise<void> {
  const { out, leave } = context;
  const serving = new Set<Promise<void>>();
  const close = await listenAt(context, node, usable, (stream) => {
    const who = described(stream);
    void out.event("connected", who, `connected: ${who.address}`);
    const served = echo(stream, leave).then(
      () => void out.event("disconnected", who, `disconnected: ${who.address}`),
      (error: unknown) => {
        const reason = failureOf(error);
        const text = `disconnected: ${who.address}: ${reason.message}`;
        void out.event("disconnected", { ...who, reason }, text);
      },
    );
    serving.add(served);
    void served.then(() => serving.delete(served));
  });
  await new Promise<void>((resolve) => {
    if (leave.aborted) resolve();
    else leave.addEventListener("abort", () => resolve(), { once: true });
  });
  await close();
  await Promise.all(serving);
}

/**
 * Listens on all of it or on nothing, and says so before anybody is let in. Gives how to stop: that cuts
 * the handshakes under way, and what was handed over lives on.
 */
async function listenAt(
  { out }: CommandContext,
  node: MultiServer,
  usable: Usable,
  came: (stream: MultiStream) => void,
): Promise<() => Promise<void>> {
  let enough = false;
  const doors = node.doors((connection, error) => {
    if (enough) return;
    const { code, message } = failureOf(error);
    const address = connection.remote.text;
    const text = `refused ${address}: ${message}`;
    void out.event("refused", { address, reason: { code, message } }, text);
  });
  const { closeTimeoutMs } = node.limits;
  const opened = await node.listen(doors, parseAddress(usable.text), (link, ticket, stack) => {
    const stream = new MultiStream(link, stack, { runtime: systemRuntime, closeTimeoutMs });
    ticket.settle();
    void stream.closed.then(() => ticket.leave());
    came(stream);
  });
  const address = opened.map((door) => door.address).join(";");
  const fields = { id: node.identity.id.text, addresses: [address] };
  await out.event("listening", fields, `listening on ${address}`);
  return async () => {
    enough = true;
    doors.cut(networkError("NETWORK_CLOSED", "no longer listening"));
    await doors.closeAll();
  };
}

function described(stream: MultiStream): { id?: string; address: string; authenticated: boolean } {
  const { remote, address } = stream;
  return {
    ...(remote === undefined ? {} : { id: remote.text }),
    address,
    authenticated: remote !== undefined,
  };
}
