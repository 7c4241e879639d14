package import RingPeer
package import RingPlacement
import Synchronization

/// Works out each configuration once for all peers of a process, and has them share what comes out.
///
/// Thousands of peers in one process would otherwise compute and keep the same table each.
package final class PictureCache: Sendable {
    private static let keptMax = 16
    private let kept = Mutex<[RingPicture]>([])

    /// Makes an empty cache.
    package init() {}

    /// What follows from a configuration.
    package func picture(of configuration: RingConfiguration) -> RingPicture {
        kept.withLock { pictures in
            let known = pictures.last {
                $0.configuration.epoch == configuration.epoch && $0.configuration == configuration
            }
            if let known { return known }
            let picture = RingPicture(configuration)
            pictures.append(picture)
            if pictures.count > Self.keptMax { pictures.removeFirst() }
            return picture
        }
    }
}
