/// The keys that seal the ring's datagrams; never their bytes.
package struct KeyList: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// The number of the ring configuration that lists them.
    package var epoch: UInt64
    /// The keys; the first seals, all open.
    package var keys: [Item]

    /// Makes a list.
    package init(epoch: UInt64, keys: [Item]) {
        self.epoch = epoch
        self.keys = keys
    }

    /// One key.
    package struct Item: Codable, Hashable, Sendable {
        /// Its name: eight hexadecimal digits.
        package var id: String
        /// Whether it seals what peers send.
        package var isSealing: Bool
        /// Where it comes from: secret (the cluster's) or generated.
        package var origin: String
        /// The epoch that brought it; 0 for the one that was there from the start.
        package var epoch: UInt64
        /// The names of the members that answer and have it.
        package var members: [String]
        /// The names of the members that answer and are not known to have it.
        package var lacking: [String]

        /// Makes an item.
        package init(
            id: String,
            isSealing: Bool,
            origin: String,
            epoch: UInt64,
            members: [String],
            lacking: [String]
        ) {
            self.id = id
            self.isSealing = isSealing
            self.origin = origin
            self.epoch = epoch
            self.members = members
            self.lacking = lacking
        }
    }
}

/// A gossip key to be installed.
package struct InstallKey: Codable, Hashable, Sendable {
    /// 64 hexadecimal digits; a new key is drawn where there are none.
    package var key: String?
    /// The names of the ring's keys, where the key is to be installed only beside exactly these: of
    /// two rotations that begin at once one finds the other's key.
    package var expectedKeys: [String]?

    /// Makes a request.
    package init(key: String?, expectedKeys: [String]? = nil) {
        self.key = key
        self.expectedKeys = expectedKeys
    }
}

/// The gossip key that is to seal.
package struct UseKey: Codable, Hashable, Sendable {
    /// Its name.
    package var id: String
    /// Whether to use it although members lack it.
    package var isForced: Bool
    /// Whether to leave it at that where a key that was installed later is in use already.
    package var isForward: Bool?

    /// Makes a request.
    package init(id: String, isForced: Bool, isForward: Bool? = nil) {
        self.id = id
        self.isForced = isForced
        self.isForward = isForward
    }
}

/// What a change of the keys came to.
package struct KeyChanged: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// The key that it was about.
    package var id: String
    /// Whether anything changed; false when everything was as wanted already.
    package var isChanged: Bool
    /// The number of the ring configuration in which it is so.
    package var epoch: UInt64

    /// Makes an answer.
    package init(id: String, isChanged: Bool, epoch: UInt64) {
        self.id = id
        self.isChanged = isChanged
        self.epoch = epoch
    }
}

/// What happened to members, or how they fare.
package struct MemberEvents: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// The number to ask after next.
    package var revision: UInt64
    /// How all members fare: where no revision was asked after, and after a gap.
    package var members: [MemberList.Item]?
    /// Whether events after the one that was asked for are lost; ``members`` says what came of
    /// them.
    package var isGap: Bool
    /// What happened, oldest first.
    package var events: [Item]

    /// Makes an answer.
    package init(
        revision: UInt64,
        members: [MemberList.Item]?,
        isGap: Bool,
        events: [Item]
    ) {
        self.revision = revision
        self.members = members
        self.isGap = isGap
        self.events = events
    }

    /// One event.
    package struct Item: Codable, Hashable, Sendable {
        /// Its number, one more than that of the event before.
        package var revision: UInt64
        /// When it was seen, in milliseconds since 1970 (UTC).
        package var timeMilliseconds: Int64
        /// The member's identity.
        package var id: String
        /// Its name.
        package var name: String
        /// The count of starts of its process.
        package var boot: UInt64
        /// new, alive, suspect, dead, left, restarted, held_back, released, dataplane_withdrawn or
        /// dataplane_back.
        package var change: String

        /// Makes an item.
        package init(
            revision: UInt64,
            timeMilliseconds: Int64,
            id: String,
            name: String,
            boot: UInt64,
            change: String
        ) {
            self.revision = revision
            self.timeMilliseconds = timeMilliseconds
            self.id = id
            self.name = name
            self.boot = boot
            self.change = change
        }
    }
}
