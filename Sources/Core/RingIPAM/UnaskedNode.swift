package import Determinism

/// The registers that name the nodes whose blocks nobody could ask for when a registry was founded
/// anew.
///
/// What the lost stewards were told last is not known any more, so such a node may have any block
/// that nobody else is known to have. While one is named, no block is claimed. The node takes its
/// own name away once it has told of its blocks, and a node that was removed loses it like a block:
/// the value is a ``BlockOwner``, so it drains first.
package enum UnaskedNode {
    /// What the names of the registers begin with; among those of blocks, so that a removal takes
    /// it along.
    package static let registerPrefix = "ipam-unasked/"

    /// The name of a node's register.
    package static func registerKey(_ node: NodeID) -> String { registerPrefix + "\(node)" }

    /// The node that a register's name speaks of.
    package static func node(ofKey key: String) -> NodeID? {
        guard key.hasPrefix(registerPrefix) else { return nil }
        return NodeID(key.dropFirst(registerPrefix.count))
    }
}
