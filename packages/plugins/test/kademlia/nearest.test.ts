import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Nearest } from "../../src/kademlia/nearest.ts";
import type { Contact } from "../../src/kademlia/node-id.ts";
import { anyId, byDistance, similarId } from "./contacts.ts";

const id = fc.oneof(anyId, similarId);

describe("nearest", () => {
  it("keeps what sorting everything would keep", () => {
    const step = fc.record({ nodeId: id, leaves: fc.boolean() });
    fc.assert(
      fc.property(id, fc.integer({ min: 1, max: 6 }), fc.array(step), (target, limit, steps) => {
        const nearest = new Nearest<Contact>(target, limit);
        let model: Contact[] = [];
        for (const { nodeId, leaves } of steps) {
          const contact = { id: "", nodeId };
          const held = model.some((other) => String(other.nodeId) === String(nodeId));
          expect(nearest.has(nodeId)).toBe(held);
          if (leaves) {
            expect(nearest.delete(nodeId)).toBe(held);
            model = model.filter((other) => String(other.nodeId) !== String(nodeId));
          } else {
            const better = nearest.accepts(contact);
            const before = model;
            if (!held) {
              model = byDistance(target, [...model, contact]).slice(0, limit);
            }
            const entered = model !== before && model.includes(contact);
            expect(better).toBe(entered);
            expect(nearest.offer(contact)).toBe(entered);
          }
          expect(nearest.items).toEqual(model);
          expect(nearest.size).toBe(model.length);
          expect(nearest.full).toBe(model.length === limit);
          expect(nearest.farthest).toBe(model[model.length - 1]);
        }
      }),
    );
  });

  it("tells ids apart that differ only behind the first 53 bits", () => {
    const target = new Uint8Array(32);
    const near = new Uint8Array(32);
    near[31] = 1;
    const far = new Uint8Array(32);
    far[31] = 2;
    const nearest = new Nearest<Contact>(target, 1);
    expect(nearest.offer({ id: "far", nodeId: far })).toBe(true);
    expect(nearest.offer({ id: "near", nodeId: near })).toBe(true);
    expect(nearest.offer({ id: "far", nodeId: far })).toBe(false);
    expect(nearest.items.map((contact) => contact.id)).toEqual(["near"]);
  });

  it("takes a newer contact of the same node", () => {
    const nearest = new Nearest<Contact>(new Uint8Array(32), 2);
    const nodeId = new Uint8Array(32).fill(1);
    nearest.offer({ id: "old", nodeId });
    expect(nearest.replace({ id: "new", nodeId })).toBe(true);
    expect(nearest.replace({ id: "other", nodeId: new Uint8Array(32).fill(2) })).toBe(false);
    expect(nearest.items.map((contact) => contact.id)).toEqual(["new"]);
  });
});
