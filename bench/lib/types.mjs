/**
 * The words of this bench, as JSDoc types. No code.
 *
 * A measurement always has two processes: the *dialer*, which drives the workload, and the *listener*,
 * which receives. `run.mjs` starts the dialer and the dialer starts the listener, so the runner itself
 * sleeps while others measure.
 *
 * @typedef {object} Adapter  One file in peers/: a library in its best reasonable configuration.
 * @property {string} about  Version and configuration, one line.
 * @property {boolean} sealed  Whether its bytes are encrypted and both ends proved a key.
 * @property {(options: ListenOptions) => Promise<Listening>} listen
 * @property {(options: DialerOptions) => Promise<Dialer>} createDialer  A node that dials: keys made, nothing connected.
 * @property {number} [linksPerDialer]  Links one dialer can hold to one listener at once; default: any number.
 * @property {number} [dialsPerDialer]  Dials one dialer can have under way to one listener; default: any number.
 * @property {(options: PublisherOptions) => Promise<Publisher>} [createPublisher]  Where a library has a broadcast of its own; otherwise links are written to in a loop.
 * @property {(options: { onMessage: (body: Uint8Array) => void }) => Promise<Member>} [createMember]  A node of a network that gossips.
 * @property {() => Promise<Environment>} [environment]  Runs in a third process, outside the measured two.
 * @property {number} [fanoutMessages]  A fixed number of messages for fan-out, where a library drops what it cannot take.
 *
 * @typedef {object} ListenOptions
 * @property {(body: Uint8Array, source: unknown) => void} onMessage  Called once a received message. `body` is valid during the call.
 * @property {() => void} onConnection  Called once a dialer that is connected and, where the library can, authenticated.
 * @property {(bytes: number) => void} onBytes  Called for what arrives on a channel.
 * @property {boolean} [echo]  Whether the bytes of a flow go back.
 * @property {number} [count]  Subscribers wanted; a library that holds one stream a pair of nodes starts that many nodes. Default 1.
 * @property {unknown} [environment]
 *
 * @typedef {object} Listening
 * @property {unknown[]} addresses  `count` of them, as `createDialer().connect` takes them; they travel as JSON.
 * @property {(source: unknown, body: Uint8Array) => void} reply  Answers the message that came with `source`.
 * @property {() => Promise<void>} close
 *
 * @typedef {object} DialerOptions
 * @property {unknown} [environment]
 *
 * @typedef {object} Dialer
 * @property {(address: unknown) => Promise<Link>} connect  Resolves when the dialer knows whom it talks to.
 * @property {() => Promise<void>} close
 *
 * @typedef {object} Link
 * @property {() => Promise<void>} [ready]  What messages need beyond the connection, for example a stream inside it.
 * @property {(body: Uint8Array) => boolean} send  `false`: wait for `drain()` before the next.
 * @property {() => Promise<void>} drain
 * @property {(body: Uint8Array) => Promise<Uint8Array>} request  One at a time.
 * @property {() => Promise<import("@testudo/core").Channel>} [openChannel]  A byte pipe beside the messages; the listener drains it.
 * @property {() => Promise<void>} close
 *
 * @typedef {object} ByteAdapter  A library seen as a pipe of bytes: its listener sends back what it receives.
 * @property {string} about
 * @property {boolean} sealed
 * @property {(options: Pick<ListenOptions, "onConnection">) => Promise<Omit<Listening, "reply">>} listen
 * @property {() => Promise<ByteDialer>} createDialer
 *
 * @typedef {object} ByteDialer
 * @property {(address: unknown) => Promise<ByteLink>} connect  Resolves when both ends are proved.
 * @property {() => Promise<void>} close
 *
 * @typedef {object} ByteLink
 * @property {(body: Uint8Array, times: number) => Promise<void>} echo  Writes `body` so many times, as fast as the link takes it; resolves when as many bytes came back. One at a time.
 * @property {() => Promise<void>} close  Says goodbye; resolves with the other side's, rejects when there is none.
 *
 * @typedef {object} FlowAdapter  A library seen as a way for bytes, which its listener counts or sends back.
 * @property {string} about
 * @property {boolean} sealed
 * @property {(options: Pick<ListenOptions, "onConnection" | "onBytes" | "echo">) => Promise<Omit<Listening, "reply">>} listen
 * @property {() => Promise<FlowDialer>} createDialer
 *
 * @typedef {object} FlowDialer
 * @property {(address: unknown) => Promise<FlowLink>} connect
 * @property {() => Promise<void>} close
 *
 * @typedef {object} FlowLink
 * @property {(body: Uint8Array) => boolean} send  `false`: wait for `drain()` before the next.
 * @property {() => Promise<void>} drain
 * @property {(body: Uint8Array) => Promise<void>} echo  Resolves when as many bytes came back. One at a time.
 * @property {() => number} packetBytes  Of its largest UDP datagrams now; 0 where it has none.
 * @property {() => Promise<void>} close
 *
 * @typedef {DialerOptions & { addresses: unknown[] }} PublisherOptions
 *
 * @typedef {object} Publisher
 * @property {(body: Uint8Array) => boolean} broadcast  To every address; `false`: wait for `drain()`.
 * @property {() => Promise<void>} drain
 * @property {() => Promise<void>} close
 *
 * @typedef {object} Member
 * @property {unknown} address
 * @property {(address: unknown) => Promise<void>} connect
 * @property {(body: Uint8Array) => void} publish  To every node of the network.
 *
 * @typedef {object} Environment
 * @property {unknown} info  Handed to `listen` and `createDialer` as `environment`; travels as JSON.
 * @property {() => Promise<void>} close
 *
 * @typedef {object} Workload  One file in workloads/.
 * @property {string} title
 * @property {string[]} peers  Names of adapters, in the order of the table.
 * @property {Metric[]} metrics
 * @property {Target[]} targets
 * @property {number} [rounds]  Instead of the runner's default.
 * @property {(context: WorkloadContext) => Promise<Record<string, number>>} [dial]  Runs in the dialer.
 * @property {(peer: string, options: { quick: boolean }) => Promise<Record<string, number>>} [run]  Instead of `dial`: runs in the runner and starts its own processes.
 * @property {boolean} [gc]  Whether both processes need `--expose-gc`.
 *
 * @typedef {object} Metric
 * @property {string} key
 * @property {string} title
 * @property {string} unit
 *
 * @typedef {object} Target  A bound on Testudo's figure: absolute, or times another peer's of the same round.
 * @property {string} metric
 * @property {string} [peer]  Whose figure is judged. Default `testudo`.
 * @property {string} [against]  A peer's name; without it the bound is absolute.
 * @property {string} [againstMetric]  Default: `metric`.
 * @property {number} [atLeast]
 * @property {number} [atMost]
 *
 * @typedef {object} WorkloadContext
 * @property {Adapter} adapter
 * @property {boolean} quick
 * @property {unknown} environment
 * @property {Remote} remote
 *
 * @typedef {Omit<WorkloadContext, "adapter"> & { adapter: ByteAdapter }} ByteWorkloadContext
 *
 * @typedef {Omit<WorkloadContext, "adapter"> & { adapter: FlowAdapter }} FlowWorkloadContext
 *
 * @typedef {object} Remote  The listener's process.
 * @property {(method: string, argument?: unknown) => Promise<any>} call
 */

export {};
