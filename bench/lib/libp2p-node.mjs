/**
 * One libp2p node as both libp2p peers use it: TCP, Noise, Yamux, limits that a benchmark would meet raised.
 */

// libp2p 3 calls Promise.withResolvers, which Node 20 lacks.
Promise.withResolvers ??= /** @type {any} */ (
  () => {
    /** @type {any} */
    const handles = {};
    handles.promise = new Promise((resolve, reject) => Object.assign(handles, { resolve, reject }));
    return handles;
  }
);

const { createLibp2p } = await import("libp2p");
const { tcp } = await import("@libp2p/tcp");
const { noise } = await import("@libp2p/noise");
const { yamux } = await import("@libp2p/yamux");

/**
 * @param {{ listen: boolean, services?: Record<string, any> }} options
 * @returns {Promise<any>}
 */
export function createNode({ listen, services }) {
  return createLibp2p({
    addresses: { listen: listen ? ["/ip4/127.0.0.1/tcp/0"] : [] },
    transports: [tcp({ inboundSocketInactivityTimeout: 0, outboundSocketInactivityTimeout: 0 })],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionManager: {
      maxConnections: 100_000,
      inboundConnectionThreshold: 1_000_000,
      maxIncomingPendingConnections: 1_000_000,
      maxParallelDials: 1_000,
    },
    connectionMonitor: { enabled: false },
    services: services ?? {},
  });
}
