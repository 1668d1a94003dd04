/**
 * Makes `noise.json`: Noise handshakes, and one whole transcript of the `noise` transform, from fixed keys.
 *
 *     npx tsx --conditions=@testudo/source test/vectors/make-noise.ts
 *     npx biome format --write test/vectors/noise.json
 *
 * All secrets are SHA-256 of a label. Machine vectors have the shape of the public collections; a test
 * plays both kinds and checks that this file still makes the same bytes.
 */

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { concat, EMPTY, Identity, toHex, toUtf8 } from "@testudo/core";
import { type KeyAgreement, provider } from "@testudo/core/crypto";
import { Handshake, type SplitKeys } from "../../packages/transports/src/noise/handshake.ts";
import { noise, noiseChacha } from "../../packages/transports/src/noise/index.ts";
import { type Protocol, parseProtocol } from "../../packages/transports/src/noise/patterns.ts";
import { both, pipes, shake } from "../../packages/transports/test/noise/support.ts";
import type { NoiseVector } from "../support/vectors.ts";

const PROTOCOLS = [
  "Noise_XX_25519_AESGCM_SHA256",
  "Noise_XX_25519_ChaChaPoly_SHA256",
  "Noise_IK_25519_AESGCM_SHA256",
  "Noise_XK_25519_ChaChaPoly_SHA512",
  "Noise_NN_25519_AESGCM_BLAKE2s",
  "Noise_KK_25519_ChaChaPoly_BLAKE2b",
  "Noise_X_25519_AESGCM_SHA256",
  "Noise_X1X1_25519_AESGCM_SHA512",
  "Noise_I1K1_25519_ChaChaPoly_BLAKE2s",
  "Noise_NNpsk0+psk2_25519_AESGCM_SHA256",
  "Noise_XXpsk3_25519_ChaChaPoly_SHA256",
];

/** A transcript of the transform; hex throughout, messages and boxes with their length prefixes. */
export interface TransformVector {
  readonly name: string;
  readonly network_id: string;
  readonly chain: string;
  readonly dialer: TransformSide;
  readonly listener: TransformSide;
  /** In the order sent: dialer, listener, dialer. */
  readonly handshake: readonly string[];
  readonly exported: readonly { readonly label: string; readonly key: string }[];
  readonly boxes: readonly {
    readonly from: "dialer" | "listener";
    /** Empty for the goodbye. */
    readonly plain: string;
    readonly sealed: string;
  }[];
}

export interface TransformSide {
  /** Ed25519 seed. */
  readonly identity: string;
  /** X25519 secrets. */
  readonly static: string;
  readonly ephemeral: string;
  readonly offer: string;
}

export interface NoiseVectors {
  readonly machine: readonly NoiseVector[];
  readonly transform: readonly TransformVector[];
}

function secret(label: string): Uint8Array {
  return provider.hash("SHA256", toUtf8(`testudo test vector: ${label}`));
}

function machineVector(name: string): NoiseVector {
  const protocol = parseProtocol(name);
  const prologue = toUtf8("testudo test vector");
  const psks = Array.from({ length: protocol.psks }, (_, i) => secret(`psk ${i}`));
  const keys = {
    dialer: { static: secret("dialer static"), ephemeral: secret("dialer ephemeral") },
    listener: { static: secret("listener static"), ephemeral: secret("listener ephemeral") },
  };
  const publicKey = (of: Uint8Array): Uint8Array => provider.keyAgreement(of).publicKey;
  const make = (side: "dialer" | "listener"): Handshake =>
    new Handshake({
      protocol,
      side,
      prologue,
      psks,
      staticKey: provider.keyAgreement(keys[side].static),
      ephemeralKey: provider.keyAgreement(keys[side].ephemeral),
      remoteStatic: publicKey(keys[side === "dialer" ? "listener" : "dialer"].static),
    });
  const dialer = make("dialer");
  const listener = make("listener");
  const { messages, split } = converse(protocol, dialer, listener);
  const hex = (bytes: Uint8Array): string => toHex(bytes);
  return {
    protocol_name: name,
    init_prologue: hex(prologue),
    init_static: hex(keys.dialer.static),
    init_ephemeral: hex(keys.dialer.ephemeral),
    init_remote_static: hex(publicKey(keys.listener.static)),
    init_psks: psks.map(hex),
    resp_prologue: hex(prologue),
    resp_static: hex(keys.listener.static),
    resp_ephemeral: hex(keys.listener.ephemeral),
    resp_remote_static: hex(publicKey(keys.dialer.static)),
    resp_psks: psks.map(hex),
    handshake_hash: hex(dialer.hash),
    messages: [...messages, ...transport(protocol, messages.length, split)],
  };
}

type Message = NoiseVector["messages"][number];
type Split = Record<"dialer" | "listener", SplitKeys>;

function converse(
  protocol: Protocol,
  dialer: Handshake,
  listener: Handshake,
): { messages: Message[]; split: Split } {
  const messages = protocol.messages.map((_, index) => {
    const [from, to] = index % 2 === 0 ? [dialer, listener] : [listener, dialer];
    const payload = toUtf8(`handshake payload ${index + 1}`);
    const message = from.write(payload);
    to.read(message);
    return { payload: toHex(payload), ciphertext: toHex(message) };
  });
  return { messages, split: { dialer: dialer.split(), listener: listener.split() } };
}

function transport(protocol: Protocol, from: number, split: Split): Message[] {
  return [from, from + 1, from + 2, from + 3].map((index) => {
    const forward = protocol.oneWay || index % 2 === 0;
    const payload = toUtf8(`transport payload ${index + 1}`);
    const sealed = split[forward ? "dialer" : "listener"].seal.seal(EMPTY, [payload]);
    return { payload: toHex(payload), ciphertext: toHex(concat(...sealed)) };
  });
}

async function transformVector(
  make: typeof noise,
  chain: string,
  offers: { dialer: string; listener: string },
): Promise<TransformVector> {
  const networkId = secret("network");
  const side = (name: "dialer" | "listener"): TransformSide => ({
    identity: toHex(secret(`${name} identity`)),
    static: toHex(secret(`${name} static`)),
    ephemeral: toHex(secret(`${name} ephemeral`)),
    offer: toHex(toUtf8(offers[name])),
  });
  /** The transform asks for its static pair first, then for one ephemeral pair. */
  const transform = (name: "dialer" | "listener"): ReturnType<typeof noise> => {
    const secrets = [secret(`${name} static`), secret(`${name} ephemeral`)];
    const keyPair = (): KeyAgreement => provider.keyAgreement(secrets.shift());
    return make({ offer: toUtf8(offers[name]), keyPair });
  };
  const dialer = transform("dialer");
  const over = pipes();
  const sessions = both(
    await shake({ dialer, listener: transform("listener") }, over, {
      dialer: { chain, networkId, identity: Identity.fromSecret(secret("dialer identity")) },
      listener: { chain, networkId, identity: Identity.fromSecret(secret("listener identity")) },
    }),
  );
  const boxes: TransformVector["boxes"][number][] = [];
  for (const [from, text] of [
    ["dialer", "hello"],
    ["listener", "hello yourself"],
    ["dialer", "x".repeat(300)],
  ] as const) {
    const plain = toUtf8(text);
    boxes.push({
      from,
      plain: toHex(plain),
      sealed: toHex(concat(...sessions[from].seal([plain]))),
    });
  }
  for (const from of ["dialer", "listener"] as const) {
    boxes.push({ from, plain: "", sealed: toHex(sessions[from].end()) });
  }
  const [first, third] = over.written.dialer;
  const [second] = over.written.listener;
  return {
    name: dialer.name,
    network_id: toHex(networkId),
    chain,
    dialer: side("dialer"),
    listener: side("listener"),
    handshake: [first, second, third].map((message) => toHex(message ?? EMPTY)),
    exported: ["", "datagrams"].map((label) => ({
      label,
      key: toHex(sessions.dialer.exportKey(label)),
    })),
    boxes,
  };
}

export async function makeNoise(): Promise<NoiseVectors> {
  return {
    machine: PROTOCOLS.map(machineVector),
    transform: [
      await transformVector(noise, "noise", { dialer: "", listener: "" }),
      await transformVector(noiseChacha, "noise-chacha", {
        dialer: "an offer",
        listener: "another",
      }),
    ],
  };
}

const here = fileURLToPath(import.meta.url);
if (process.argv[1] === here) {
  const file = fileURLToPath(new URL("noise.json", import.meta.url));
  const text = `${JSON.stringify(await makeNoise(), undefined, 2)}\n`;
  writeFileSync(file, text);
}
