package import Addressing
package import Determinism
package import RingIPAM
package import RingMembership
package import RingPlacement
package import RingRecords
package import RingRegisters

/// Names one request of the caller; answered exactly once by ``PeerEffect/answer(_:_:)``.
package typealias RequestToken = UInt64

/// What the peer wants done; the service carries it out in order.
package enum PeerEffect: Hashable, Sendable {
    /// Seal and send a datagram.
    case datagram([UInt8], to: SocketAddress)
    /// Send a frame over a stream to a node, dialling the address when there is no stream.
    case frame([UInt8], to: NodeID, at: SocketAddress)
    /// Make the rows durable in one transaction, and only then carry out `then`.
    case persist([PeerRow], then: [PeerEffect])
    /// A request of the caller came to its end.
    case answer(RequestToken, PeerAnswer)
    /// Something happened that the caller may care for.
    case event(PeerEvent)
}

/// How a request ended.
package enum PeerAnswer: Hashable, Sendable {
    /// A register request's outcome.
    case register(RegisterOutcome)
    /// A publication's or a read's outcome.
    case records(Records.Outcome)
    /// An allocation's outcome.
    case address(AddressOutcome)
    /// How a question about lost registers ended.
    case recovery(RecoveryOutcome)
}

/// How an allocation of an address ended.
package enum AddressOutcome: Hashable, Sendable {
    /// The holder has this address, durably.
    case assigned(AddressPool.Assignment)
    /// The holder has these two, one of each family, durably.
    case assignedPair(AddressPool.Assignment, AddressPool.Assignment)
    /// Every block of the subnet is taken and the node's own are full.
    case exhausted
    /// The holder has nothing in the pool any more, durably.
    case released
    /// A block was needed, or the boot register, and the registers could not be asked or changed in
    /// time.
    case registersUnavailable
    /// A block was needed, and these nodes may have any: their blocks could not be asked for when
    /// the registers were founded anew.
    case blocksInDoubt([NodeID])
    /// The wanted address is in use or rests here, or lies in a block of another node.
    case addressTaken(IPAddress, by: NodeID?)
    /// The wanted address is not one that pods of the subnet may have.
    case addressUnusable(IPAddress)
}

/// What happened in the ring.
package enum PeerEvent: Hashable, Sendable {
    /// A member is new or fares differently.
    case member(Membership.Member)
    /// A member answers over streams only: something on the way swallows datagrams.
    case datagramsBlocked(Membership.Member)
    /// A newer ring configuration is in force.
    case configuration(RingConfiguration)
    /// A set under a watched topic changed.
    case records(OriginSet)
    /// What a node had told under a watched topic is gone with the node.
    case recordsRetired(Topic, NodeID)
    /// A watched topic is complete.
    case synced(Topic)
    /// A register that is followed holds this, of a later version than was told before.
    case register(String, RegisterValue)
    /// Another process uses this node's identity, or this one runs on an old copy of the database;
    /// it must stop.
    case identityTaken
    /// Another process runs under this very start of the node; it must stop, and may start again.
    case twin
    /// A register holds what this release cannot read; it is left as it is.
    case registerUnreadable(String)
    /// The registers that this node held belong to a registry that was given up: they are erased,
    /// and the database is another storage from now on.
    case registersGivenUp(storage: NodeID)
    /// A peer follows a registry that did not come after this one, nor this one after that: the
    /// registers were recovered twice.
    case registryForked(NodeID, NodeID)
    /// A frame could not be read or served; `reason` names the field.
    case refusedFrame(from: NodeID, reason: String)
}

/// A durable row of the peer; nil content removes it.
package struct PeerRow: Hashable, Sendable {
    /// The kinds of rows; their numbers are part of the file's layout.
    package enum Space: Int, CaseIterable, Sendable {
        /// One row under an empty key: the newest ring configuration that was adopted.
        case configuration = 2
        /// What the acceptor promised and accepted, by register.
        case acceptor = 3
        /// Record sets, by topic and origin.
        case records = 4
        /// Owned address blocks, by pool and first address.
        case blocks = 5
        /// Addresses that are or were assigned, by pool and address: 1 and the assignment while it
        /// is held, 0 and the assignment while it rests.
        case assignments = 6
        /// What else the allocator keeps: 0 for what is known of the boot register, 1 with pool and
        /// family for a subnet, 2 for the registry in which its blocks were found in order.
        case allocator = 9
        /// Nodes whose records were retired, by node: the node and the last boot of these.
        case retirements = 12
        /// One row under an empty key: the slots whose hand-over to this node is not done.
        case arrivals = 14
    }

    /// The kind of row.
    package let space: Space
    /// The key, unique in its space.
    package let key: [UInt8]
    /// The content.
    package let value: [UInt8]?

    /// Makes a row.
    package init(space: Space, key: [UInt8], value: [UInt8]?) {
        self.space = space
        self.key = key
        self.value = value
    }
}
