/**
 * One listener, one dialer, one link ready for messages: how most workloads begin.
 *
 * @param {import("./types.mjs").WorkloadContext} context
 * @returns {Promise<import("./types.mjs").Link>}
 */
export async function openLink({ adapter, environment, remote }) {
  const [address] = await remote.call("start", {});
  const dialer = await adapter.createDialer({ environment });
  const link = await dialer.connect(address);
  await link.ready?.();
  return link;
}

/**
 * The same over bytes.
 *
 * @param {import("./types.mjs").ByteWorkloadContext} context
 * @returns {Promise<import("./types.mjs").ByteLink>}
 */
export async function openPipe({ adapter, remote }) {
  const [address] = await remote.call("start", {});
  const dialer = await adapter.createDialer();
  return dialer.connect(address);
}

/**
 * The same over bytes that are counted or sent back.
 *
 * @param {import("./types.mjs").FlowWorkloadContext} context
 * @param {{ echo: boolean }} options
 * @returns {Promise<import("./types.mjs").FlowLink>}
 */
export async function openFlow({ adapter, remote }, { echo }) {
  const [address] = await remote.call("start", { echo });
  const dialer = await adapter.createDialer();
  return dialer.connect(address);
}
