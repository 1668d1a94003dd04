/**
 * The smallest listening process of one peer: `node listen.mjs PEER`.
 */

const { listen } = await import(`../peers/${process.argv[2]}.mjs`);
await listen({ onMessage: () => {}, onConnection: () => {}, onBytes: () => {} });
process.stdout.write("listening\n");
