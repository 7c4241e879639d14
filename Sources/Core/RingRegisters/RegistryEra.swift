/// The eras into which epochs fall: each recovery of a ring's registers begins one.
///
/// Within an era epochs grow by one. A recovery skips to the first epoch of a later era, so
/// whatever the lost stewards may still have decided has a lower number than everything after it.
/// A decimal length keeps the numbers readable: 2000000017 is the eighteenth epoch since the second
/// recovery.
package enum RegistryEra {
    /// The epochs of one era: at one change a second they last for thirty years.
    package static let length: UInt64 = 1_000_000_000

    /// Versions of registers skip so many with each recovery, so that none is seen twice with other
    /// content: not even of a register that no copy was left of.
    package static let versionSkip: UInt64 = 1_000_000

    /// The version that a change makes of a register at `version`, in a group of stewards.
    package static func version(after version: UInt64, in group: StewardSet) -> UInt64 {
        version == 0 ? number(of: group.epoch) * versionSkip + 1 : version + 1
    }

    /// The era that an epoch lies in; 0 before the first recovery.
    package static func number(of epoch: UInt64) -> UInt64 { epoch / length }

    /// The first epoch of the era after that of `epoch`; nil where there is none left.
    package static func begin(after epoch: UInt64) -> UInt64? {
        let (first, isTooLarge) = (number(of: epoch) + 1).multipliedReportingOverflow(by: length)
        return isTooLarge || first > StewardSet.epochMax ? nil : first
    }
}
