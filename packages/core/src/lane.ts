/**
 * Lanes: the four queues of one stream's outgoing frames, most urgent first.
 *
 * Order holds inside a lane. A frame may overtake frames of a later lane, never one of an earlier lane.
 */

export const LANES = { control: 0, reply: 1, normal: 2, bulk: 3 } as const;

export type Lane = (typeof LANES)[keyof typeof LANES];
