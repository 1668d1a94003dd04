import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Deadline, type Runtime, randomInteger, systemRuntime } from "../src/runtime.ts";

describe("systemRuntime", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("reads both clocks", () => {
    vi.setSystemTime(1_700_000_000_000);
    const before = systemRuntime.now();
    vi.advanceTimersByTime(1_500);
    expect(systemRuntime.now() - before).toBe(1_500);
    expect(systemRuntime.wallClock()).toBe(1_700_000_001_500);
  });

  it("calls back once, when the delay is over", () => {
    const callback = vi.fn();
    systemRuntime.setTimer(callback, 100);
    vi.advanceTimersByTime(99);
    expect(callback).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1_000);
    expect(callback).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("never calls back after cancel, which may be repeated", () => {
    const callback = vi.fn();
    const timer = systemRuntime.setTimer(callback, 100);
    timer.cancel();
    timer.cancel();
    vi.advanceTimersByTime(1_000);
    expect(callback).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("does not fire at once for a delay longer than the platform's", () => {
    const callback = vi.fn();
    for (const delay of [2 ** 31, 2 ** 40, Number.POSITIVE_INFINITY]) {
      const timer = systemRuntime.setTimer(callback, delay);
      vi.advanceTimersByTime(3_600_000);
      timer.cancel();
    }
    expect(callback).not.toHaveBeenCalled();
  });

  it("takes a delay in the past as now", () => {
    const callback = vi.fn();
    systemRuntime.setTimer(callback, -5);
    vi.advanceTimersByTime(1);
    expect(callback).toHaveBeenCalledTimes(1);
  });
});

describe("random bytes", () => {
  it("have the length asked for, beyond the platform's bound too, and are not zero", () => {
    for (const length of [0, 1, 32, 65_536, 65_537, 200_000]) {
      expect(systemRuntime.randomBytes(length)).toHaveLength(length);
    }
    const long = systemRuntime.randomBytes(200_000);
    for (const at of [0, 65_536, 131_072, 199_900]) {
      expect(long.subarray(at, at + 100).some((byte) => byte !== 0)).toBe(true);
    }
  });
});

/** Random bytes from a list of 32-bit numbers; asking for more fails. */
function scripted(...words: number[]): Runtime {
  return {
    ...systemRuntime,
    randomBytes() {
      const word = words.shift();
      if (word === undefined) throw new Error("script is over");
      const bytes = new Uint8Array(6);
      new DataView(bytes.buffer).setUint32(1, word, true);
      return bytes.subarray(1, 5);
    },
  };
}

describe("randomInteger", () => {
  it("stays below its bound", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 32 }), (below) => {
        const value = randomInteger(systemRuntime, below);
        expect(Number.isInteger(value) && value >= 0 && value < below).toBe(true);
      }),
    );
    expect(randomInteger(scripted(0xffff_ffff), 2 ** 32)).toBe(0xffff_ffff);
  });

  it("draws again where the remainder would favour small numbers", () => {
    expect(randomInteger(scripted(0xffff_ffff, 7), 3)).toBe(1);
    expect(randomInteger(scripted(0xffff_fffe), 3)).toBe(2);
    expect(randomInteger(scripted(0xffff_ffff), 4)).toBe(3);
    expect(randomInteger(scripted(2 ** 31 + 1, 2 ** 31), 2 ** 31 + 1)).toBe(2 ** 31);
  });

  it.each([0, -1, 1.5, Number.NaN, 2 ** 32 + 1, Number.POSITIVE_INFINITY])(
    "refuses the bound %d instead of searching for ever",
    (below) => {
      expect(() => randomInteger(scripted(), below)).toThrow(RangeError);
    },
  );
});

describe("Deadline", () => {
  /** A runtime whose only timer is fired by hand. */
  function byHand(): { runtime: Runtime; fire: () => void; timers: () => number } {
    const pending = new Set<() => void>();
    return {
      runtime: {
        ...systemRuntime,
        setTimer(callback) {
          pending.add(callback);
          return { cancel: () => void pending.delete(callback) };
        },
      },
      fire: () => {
        for (const callback of [...pending]) callback();
      },
      timers: () => pending.size,
    };
  }
  const late = new Error("late");

  it("aborts with its own reason when time is up, and lets go of the parent", () => {
    const { runtime, fire, timers } = byHand();
    const parent = new AbortController();
    const remove = vi.spyOn(parent.signal, "removeEventListener");
    const { signal } = new Deadline(runtime, 5, () => late, parent.signal);
    expect(signal.aborted).toBe(false);
    fire();
    expect(signal.reason).toBe(late);
    expect(timers()).toBe(0);
    expect(remove).toHaveBeenCalledTimes(1);
    parent.abort(new Error("too late to matter"));
    expect(signal.reason).toBe(late);
  });

  it("aborts with the parent's reason when that comes first, and drops its timer", () => {
    const { runtime, fire, timers } = byHand();
    const parent = new AbortController();
    const reason = new Error("parent");
    const { signal } = new Deadline(runtime, 5, () => late, parent.signal);
    parent.abort(reason);
    expect(signal.reason).toBe(reason);
    expect(timers()).toBe(0);
    fire();
    expect(signal.reason).toBe(reason);
  });

  it("is over at once when the parent already is", () => {
    const { runtime, timers } = byHand();
    const reason = new Error("before");
    const { signal } = new Deadline(runtime, 5, () => late, AbortSignal.abort(reason));
    expect(signal.reason).toBe(reason);
    expect(timers()).toBe(0);
  });

  it("never fires after clear, which may be repeated", () => {
    const { runtime, fire, timers } = byHand();
    const parent = new AbortController();
    const deadline = new Deadline(runtime, 5, () => late, parent.signal);
    const { signal } = deadline;
    deadline.clear();
    deadline.clear();
    expect(timers()).toBe(0);
    fire();
    parent.abort();
    expect(signal.aborted).toBe(false);
  });

  it("needs no parent", () => {
    const { runtime, fire } = byHand();
    const { signal } = new Deadline(runtime, 5, () => late);
    fire();
    expect(signal.reason).toBe(late);
  });

  it("tells whoever asked, once, and makes the signal late if need be", () => {
    const { runtime, fire } = byHand();
    const passed = vi.fn();
    const deadline = new Deadline(runtime, 5, () => late, undefined, passed);
    expect(deadline.over).toBe(false);
    fire();
    fire();
    expect(passed).toHaveBeenCalledExactlyOnceWith(late);
    expect(deadline.over).toBe(true);
    expect(deadline.reason).toBe(late);
    expect(deadline.signal.reason).toBe(late);
  });

  it("passes its time on", () => {
    const setTimer = vi.fn(() => ({ cancel: () => {} }));
    new Deadline({ ...systemRuntime, setTimer }, 1_234, () => late).clear();
    expect(setTimer).toHaveBeenCalledWith(expect.any(Function), 1_234);
  });
});
