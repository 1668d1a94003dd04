/**
 * A Tor network of its own: authorities, relays, a client and a host of onion services, all on 127.0.0.1.
 *
 * Nothing of it leaves this machine, and the system's own tor has no part in it: every process has its own
 * ports and folders. Three authorities agree on a first consensus a few seconds after they have started.
 */

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { TOR_ENV, TorProcess } from "./tor-process.ts";

const AUTHORITIES = 3;
const RELAYS = 2;

export interface TorNetwork {
  /** The client's SOCKS ports: TCP, and in the file system. Both give Tor's extended errors. */
  readonly socks: string;
  readonly socksFile: string;
  /** Publishes a v3 onion service; gives its host name. `target`: `127.0.0.1:PORT` or `unix:PATH`. */
  publish(port: number, target: string): Promise<string>;
  /** What the client's control port answers to `GETINFO`. */
  clientInfo(what: string): Promise<string>;
  stop(): Promise<void>;
}

/** Starts one and waits until its client is ready. Rejects with all logs when that takes longer than `signal` allows; it is stopped then. */
export async function startTorNetwork(signal: AbortSignal): Promise<TorNetwork> {
  const folder = mkdtempSync(join(tmpdir(), "testudo-tor-"));
  const named = (name: string, count: number): TorProcess[] =>
    Array.from({ length: count }, (_, index) => new TorProcess(folder, `${name}${index}`));
  const authorities = named("authority", AUTHORITIES);
  const relays = named("relay", RELAYS);
  const service = new TorProcess(folder, "service");
  const client = new TorProcess(folder, "client");
  const all = [...authorities, ...relays, service, client];
  const stop = async (): Promise<void> => {
    await Promise.all(all.map((each) => each.stop()));
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const ports = await freePorts(2 * AUTHORITIES + RELAYS + 1);
    const port = (): number => ports.pop() ?? 0;
    const places = authorities.map(() => ({ or: port(), dir: port() }));
    const lines = await Promise.all(
      authorities.map((each, index) => authorityLine(each, places[index] as Place)),
    );
    const common = [
      "TestingTorNetwork 1",
      "AssumeReachable 1",
      "PathsNeededToBuildCircuits 0.67",
      ...lines,
    ];
    for (const [index, each] of authorities.entries()) {
      const { or, dir } = places[index] as Place;
      each.configure([...common, ...relayLines(each, or), `DirPort 127.0.0.1:${dir}`, ...VOTING]);
    }
    for (const each of relays) each.configure([...common, ...relayLines(each, port())]);
    service.configure([...common, "SocksPort 0"]);
    const socks = `127.0.0.1:${port()}`;
    const socksFile = `unix:${join(client.folder, "socks")}`;
    client.configure([
      ...common,
      `SocksPort ${socks} ExtendedErrors`,
      `SocksPort ${socksFile} ExtendedErrors`,
    ]);
    for (const each of [...authorities, ...relays]) each.start();
    await allAgreed(authorities[0] as TorProcess, [...authorities, ...relays], signal);
    // Not sooner: who has a consensus that names too few relays waits long for the next.
    for (const each of [service, client]) each.start();
    await Promise.all([service, client].map((each) => each.logged("Bootstrapped 100%", signal)));
    return {
      socks,
      socksFile,
      async publish(port, target) {
        await service.ask("SETEVENTS HS_DESC", signal);
        const reply = await service.ask(
          `ADD_ONION NEW:ED25519-V3 Flags=DiscardPK Port=${port},${target}`,
          signal,
        );
        const id = /^250-ServiceID=(\w+)/m.exec(reply)?.[1];
        if (id === undefined) throw new Error(`no onion service: ${reply}`);
        await service.event(new RegExp(`^650 HS_DESC UPLOADED ${id}`, "m"), signal);
        return `${id}.onion`;
      },
      clientInfo: (what) => client.ask(`GETINFO ${what}`, signal),
      stop,
    };
  } catch (error) {
    const logs = all.map((each) => each.log).join("\n");
    await stop();
    throw new Error(`the Tor network did not come up\n${logs}`, { cause: error });
  }
}

/** Waits for a consensus that names all of them. */
async function allAgreed(
  authority: TorProcess,
  relays: readonly TorProcess[],
  signal: AbortSignal,
): Promise<void> {
  await authority.logged("Opened Control listener", signal);
  await authority.ask("SETEVENTS NEWCONSENSUS", signal);
  for (const { name } of relays) await authority.event(new RegExp(`^r ${name} `, "m"), signal);
}

interface Place {
  readonly or: number;
  readonly dir: number;
}

/** The shortest intervals that tor takes. */
const VOTING = [
  "AuthoritativeDirectory 1",
  "V3AuthoritativeDirectory 1",
  "ContactInfo nobody",
  "TestingV3AuthInitialVotingInterval 5",
  "TestingV3AuthInitialVoteDelay 2",
  "TestingV3AuthInitialDistDelay 2",
  "V3AuthVotingInterval 10",
  "V3AuthVoteDelay 2",
  "V3AuthDistDelay 2",
  "TestingDirAuthVoteGuard *",
  "TestingDirAuthVoteHSDir *",
];

function relayLines(relay: TorProcess, port: number): readonly string[] {
  return [
    `Nickname ${relay.name}`,
    `ORPort 127.0.0.1:${port}`,
    "Address 127.0.0.1",
    "SocksPort 0",
    "ExitRelay 0",
  ];
}

/** Makes an authority's keys, and the line by which the others know it. */
async function authorityLine(authority: TorProcess, { or, dir }: Place): Promise<string> {
  const keys = join(authority.folder, "keys");
  const certificate = join(keys, "authority_certificate");
  const made = spawn(
    "tor-gencert",
    [
      "--create-identity-key",
      ...["-i", join(keys, "authority_identity_key"), "-s", join(keys, "authority_signing_key")],
      ...["-c", certificate, "-m", "12", "-a", `127.0.0.1:${dir}`, "--passphrase-fd", "0"],
    ],
    { stdio: ["pipe", "ignore", "ignore"], env: TOR_ENV },
  );
  made.stdin.end("not a secret\n");
  await once(made, "exit");
  const identity = /^fingerprint (\w+)$/m.exec(readFileSync(certificate, "utf8"))?.[1];
  // It wants a whole configuration to make its own key and say which; other authorities do not matter yet.
  authority.configure([
    "TestingTorNetwork 1",
    ...relayLines(authority, or),
    `DirAuthority any orport=1 127.0.0.1:1 ${"F".repeat(40)}`,
  ]);
  await promisify(execFile)("tor", [...authority.arguments, "--list-fingerprint"], {
    env: TOR_ENV,
  });
  const [, fingerprint] = readFileSync(join(authority.folder, "fingerprint"), "utf8").split(/\s+/);
  return `DirAuthority ${authority.name} orport=${or} no-v2 v3ident=${identity} 127.0.0.1:${dir} ${fingerprint}`;
}

/** Ports that were free a moment ago, all different. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
