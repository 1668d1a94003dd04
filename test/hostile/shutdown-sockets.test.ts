/**
 * Closing at any moment, over real sockets that talk, stall and say nothing: everything that was waited for
 * settles, and no handle is left.
 */

import { defineMessage, Network, type Transform, text } from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noauth } from "@testudo/transports/noauth";
import { noise } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";
import { describe, it } from "vitest";
import { expectNoLeaks } from "../support/leaks.ts";
import { fuzz, must, PATIENCE_MS, RUNS, turn } from "./fuzz.ts";
import { Stranger } from "./stranger.ts";
import { Waits } from "./waits.ts";

const Word = defineMessage({ name: "sockets-word", opcode: 61_031, codec: text });
const POINTS = Math.max(1, Math.round(RUNS / 2_500));
const LIMITS = { closeTimeoutMs: 60, closeHookTimeoutMs: 60 };

describe.each([
  ["noauth", noauth],
  ["noise", noise],
  ["shs", shs],
] as [string, () => Transform][])("over net~%s", (name, make) => {
  expectNoLeaks();

  it(
    "at random points, with sockets that talk, stall and say nothing",
    async () => {
      await fuzz(`closing over ${name}`, {
        runs: POINTS,
        make: (random) => random.below(60),
        async check(turns, random) {
          const stacks = [[net(), make()] as const];
          const [victim, friend] = [
            new Network({ stacks, limits: LIMITS }),
            new Network({ stacks, limits: LIMITS }),
          ];
          const waits = new Waits();
          const strangers: Stranger[] = [];
          const address = await victim.listen(`net:127.0.0.1:0~${name}`);
          const back = await friend.listen(`net:127.0.0.1:0~${name}`);
          const port = Number(/:(\d+)~/.exec(address)?.[1]);
          const wait = (what: string, promise: Promise<unknown> | undefined): void => {
            if (promise !== undefined) waits.add(what, promise);
            promise?.catch(() => {});
          };
          const act = (): void => {
            const [there] = friend.peers.values();
            const [here] = victim.peers.values();
            switch (random.below(6)) {
              case 0:
                wait("a dial", friend.add(address));
                return;
              case 1:
                if (!closing) wait("a dial back", victim.add(back));
                return;
              case 2:
                wait(
                  "a stranger",
                  Stranger.connect(port).then((stranger) => {
                    strangers.push(stranger);
                    if (random.rarely(2)) stranger.say(random.bytes(50));
                  }),
                );
                return;
              case 3:
                for (let i = 0; i < 5; i++)
                  wait("sending", there?.send(Word.of("x".repeat(60_000))));
                return;
              case 4:
                wait("a request", here?.request(Word.of("nobody answers"), Word));
                return;
              default:
                wait("a channel", here?.openChannel("nobody"));
            }
          };
          let closing = false;
          for (let i = 0; i < turns; i++) {
            if (i % 4 === 0) act();
            await turn();
          }
          closing = true;
          const closed = victim.close();
          for (let i = 0; i < 4; i++) {
            act();
            await turn();
          }
          await closed;
          must(victim.peers.size === 0, "peers are left");
          await friend.close();
          for (const stranger of strangers) stranger.cut();
          for (let i = 0; i < 50 && waits.open !== ""; i++) await turn();
          must(waits.open === "", `still waiting: ${waits.open}`);
        },
      });
    },
    PATIENCE_MS,
  );
});
