/// The addresses of pod groups: their blocks, and what of them is in use.
package struct IPAMStatus: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// The subnets, by group.
    package var subnets: [Subnet]

    /// Makes a status.
    package init(subnets: [Subnet]) {
        self.subnets = subnets
    }

    /// One subnet of one group.
    package struct Subnet: Codable, Hashable, Sendable {
        /// The group, VPC/GROUP.
        package var group: String
        /// The subnet.
        package var subnet: String
        /// The blocks it falls into; the largest number where there are more.
        package var blocksOfSubnet: UInt64
        /// The addresses that pods have, by the nodes' own word.
        package var used: Int
        /// The addresses of owned blocks that nobody has; some may rest.
        package var free: Int
        /// The freed addresses that rest on this node.
        package var resting: Int
        /// The blocks that were ever claimed.
        package var blocks: [Block]

        /// Makes a subnet.
        package init(
            group: String,
            subnet: String,
            blocksOfSubnet: UInt64,
            used: Int,
            free: Int,
            resting: Int,
            blocks: [Block]
        ) {
            self.group = group
            self.subnet = subnet
            self.blocksOfSubnet = blocksOfSubnet
            self.used = used
            self.free = free
            self.resting = resting
            self.blocks = blocks
        }
    }

    /// One block.
    package struct Block: Codable, Hashable, Sendable {
        /// Its addresses.
        package var block: String
        /// The name of its owner, or its id where it is no member; empty while it is free.
        package var owner: String
        /// The fence.
        package var fence: UInt64
        /// What its register says: free, owned or draining.
        package var state: String
        /// What this node keeps it as: active, suspended or draining; empty where it keeps no row.
        package var local: String
        /// The addresses that pods have.
        package var used: Int
        /// The addresses that nobody has.
        package var free: Int

        /// Makes a block.
        package init(
            block: String,
            owner: String,
            fence: UInt64,
            state: String,
            local: String,
            used: Int,
            free: Int
        ) {
            self.block = block
            self.owner = owner
            self.fence = fence
            self.state = state
            self.local = local
            self.used = used
            self.free = free
        }
    }
}

/// What is wrong with addresses.
package struct IPAMFindings: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// The subnets that were looked at.
    package var subnets: Int
    /// The endpoints that were looked at.
    package var endpoints: Int
    /// What was found.
    package var findings: [Finding]

    /// Makes a list.
    package init(subnets: Int, endpoints: Int, findings: [Finding]) {
        self.subnets = subnets
        self.endpoints = endpoints
        self.findings = findings
    }

    /// One thing that is wrong.
    package struct Finding: Codable, Hashable, Sendable {
        /// leaked, duplicate, foreign or orphaned.
        package var kind: String
        /// The group, VPC/GROUP.
        package var group: String
        /// The address or block.
        package var subject: String
        /// The node that it concerns.
        package var node: String
        /// What was seen, and the way out.
        package var detail: String

        /// Makes a finding.
        package init(kind: String, group: String, subject: String, node: String, detail: String) {
            self.kind = kind
            self.group = group
            self.subject = subject
            self.node = node
            self.detail = detail
        }
    }
}

/// A node that was taken out of the ring, and what becomes of what it had.
package struct NodeRemoval: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// The node's name.
    package var name: String
    /// The node's id.
    package var id: String
    /// Its address blocks, which drain and are free then.
    package var blocks: Int
    /// For how long they drain.
    package var drainSeconds: Int64
    /// Its endpoints, which no node sends to any more.
    package var endpoints: Int

    /// Makes a removal.
    package init(name: String, id: String, blocks: Int, drainSeconds: Int64, endpoints: Int) {
        self.name = name
        self.id = id
        self.blocks = blocks
        self.drainSeconds = drainSeconds
        self.endpoints = endpoints
    }
}
