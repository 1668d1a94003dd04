/**
 * Settings of `kcp` and `kcpgo`: their options, which commands share, read into what the transports are made with.
 *
 * A value that makes no sense is a usage error that names its option, and never shows a password. Nothing of the
 * transports is loaded unless an option of `kcpgo` is given.
 */

import { fromUtf8 } from "@testudo/core";
import type { KcpgoOptions } from "@testudo/transports/kcpgo";
import type { Arguments, OptionTable } from "./arguments.ts";
import { CommandError, fileTrouble, UsageError } from "./failure.ts";
import type { ProtocolOptions } from "./protocols.ts";

/** Of every command that runs a node. */
export const KCP_OPTIONS: OptionTable = {
  "kcp-fec": {
    value: "D,P",
    help: "of kcp: a dialer asks for P packets of parity after D of data; off: a listener grants none",
  },
  "kcpgo-crypt": {
    value: "NAME",
    help: "of kcpgo: the cipher, by kcptun's names (default aes, which is aes-256)",
  },
  "kcpgo-password-file": {
    value: "F",
    help: "of kcpgo: the password for its key is in this file, less one newline at its end",
  },
  "kcpgo-password": {
    value: "S",
    help: "of kcpgo: the password itself; whoever lists the processes of this machine reads it",
  },
  "kcpgo-kdf": {
    value: "K",
    help: "of kcpgo: readme or kcptun: whose salt and rounds make the key (default readme: kcp-go's)",
  },
  "kcpgo-fec": {
    value: "D,P",
    help: "of kcpgo: parity as the other side has it; kcptun's default is 10,3 (default off)",
  },
};

/** Packets of data and parity of one group together. */
const MOST_KCP_GROUP = 64;
const MOST_KCPGO_GROUP = 256;

/** Throws `UsageError`, or `CommandError` for a file that cannot be read. `warn` hears of one that others may read. */
export async function readKcp(
  args: Arguments,
  warn: (text: string) => void,
): Promise<Pick<ProtocolOptions, "kcp" | "kcpgo">> {
  const fec = fecOf(args, "kcp-fec", MOST_KCP_GROUP);
  const kcp = fec === false ? { fec } : fec && { fec: { data: fec[0], parity: fec[1] } };
  const kcpgo = await readKcpgo(args, warn);
  return { ...(kcp === undefined ? {} : { kcp }), ...(kcpgo === undefined ? {} : { kcpgo }) };
}

async function readKcpgo(
  args: Arguments,
  warn: (text: string) => void,
): Promise<KcpgoOptions | undefined> {
  const given = Object.keys(KCP_OPTIONS).filter((name) => name.startsWith("kcpgo-"));
  if (!given.some((name) => args.has(name))) return undefined;
  const { cryptNames, KCPTUN_KEY } = await import("@testudo/transports/kcpgo");
  const named = args.text("kcpgo-crypt");
  const crypt = cryptNames().find((name) => name === (named ?? "aes"));
  if (crypt === undefined) {
    const names = cryptNames().join(", ");
    throw new UsageError(`--kcpgo-crypt is one of ${names}, not ${JSON.stringify(named)}`);
  }
  const kdf = args.text("kcpgo-kdf") ?? "readme";
  if (kdf !== "readme" && kdf !== "kcptun") {
    throw new UsageError(`--kcpgo-kdf is readme or kcptun, not ${JSON.stringify(kdf)}`);
  }
  const fec = fecOf(args, "kcpgo-fec", MOST_KCPGO_GROUP);
  const password = await readPassword(args, warn);
  const open = crypt === "none" || crypt === "null";
  if (open && password !== undefined) {
    throw new UsageError(`--kcpgo-crypt ${crypt} seals nothing, so it takes no password`);
  }
  if (!open && password === undefined) {
    throw new UsageError(
      "kcpgo needs --kcpgo-password-file or --kcpgo-password; only --kcpgo-crypt none and null go without",
    );
  }
  return {
    crypt,
    ...(kdf === "kcptun" ? KCPTUN_KEY : {}),
    ...(fec === undefined ? {} : { fec }),
    ...(password === undefined ? {} : { password }),
  };
}

async function readPassword(
  args: Arguments,
  warn: (text: string) => void,
): Promise<string | undefined> {
  const typed = args.text("kcpgo-password");
  const file = args.text("kcpgo-password-file");
  if (typed !== undefined && file !== undefined) {
    throw new UsageError("--kcpgo-password and --kcpgo-password-file exclude each other");
  }
  if (typed === "") throw new UsageError("--kcpgo-password is empty");
  if (file === undefined) return typed;
  const { readSecretFile, tooLong } = await import("./secret-file.ts");
  const bytes = await readSecretFile(file, warn).catch((error: unknown) => {
    const why = `--kcpgo-password-file: cannot read ${file}: ${fileTrouble(error)}`;
    throw new CommandError("FILE_UNREADABLE", why, { cause: error });
  });
  const password = tooLong(bytes) ? undefined : fromUtf8(bytes)?.replace(/\r?\n$/, "");
  if (password === undefined || password === "") {
    throw new UsageError(`--kcpgo-password-file: there is no password in ${file}`);
  }
  return password;
}

/** `10,3`; `false` for `off`. */
function fecOf(
  args: Arguments,
  option: string,
  most: number,
): readonly [data: number, parity: number] | false | undefined {
  const text = args.text(option);
  if (text === undefined) return undefined;
  if (text === "off") return false;
  const [, data, parity] = (/^(\d{1,3}),(\d{1,3})$/.exec(text) ?? []).map(Number);
  if (data && parity && data + parity <= most) return [data, parity];
  throw new UsageError(
    `--${option} takes D,P of at least 1 each and ${most} together, or off, not ${JSON.stringify(text)}`,
  );
}
