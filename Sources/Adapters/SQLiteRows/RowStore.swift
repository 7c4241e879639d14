import Determinism
import Foundation
import GRDB
import Glibc

/// One row: a value under a key, in one of the spaces that the caller numbers.
package struct StoredRow: Hashable, Sendable {
    /// Which kind of row it is.
    package let space: Int
    /// The key, unique in its space.
    package let key: [UInt8]
    /// The content; nil in a change means that the row goes.
    package let value: [UInt8]?

    /// Makes a row.
    package init(space: Int, key: [UInt8], value: [UInt8]?) {
        self.space = space
        self.key = key
        self.value = value
    }
}

/// Why the database file cannot be used.
package enum RowStoreError: Error, Hashable, Sendable {
    /// The file is not a database, or damaged.
    case corrupt(path: String, detail: String)
    /// Another release wrote the file.
    case otherLayout(path: String, found: Int, supported: Int)
    /// The file belongs to another program.
    case foreign(path: String)
    /// Another process has the file open.
    case locked(path: String)
    /// The file or its folder cannot be opened.
    case unopenable(path: String, detail: String)
    /// Reading or writing failed; a failed write has changed nothing.
    case failed(path: String, detail: String)
}

extension RowStoreError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .corrupt(let path, let detail):
            "database \(path) is damaged (\(detail)): move it away to start as a new node (an old copy "
                + "must not come back: it has forgotten what it promised)"
        case .otherLayout(let path, let found, let supported):
            "database \(path) has layout \(found) and this release has \(supported): start the release "
                + "that wrote it, or move it away to start as a new node"
        case .foreign(let path):
            "database \(path) was not written by genied: name another --data-dir"
        case .locked(let path):
            "database \(path) is in use by another process: stop that genied, or name another "
                + "--data-dir"
        case .unopenable(let path, let detail):
            "cannot open database \(path) (\(detail)): check that its folder exists and can be written"
        case .failed(let path, let detail):
            "cannot use database \(path) (\(detail)): check the disk's space and health"
        }
    }
}

/// The node's one SQLite file, as rows by space and key.
///
/// Every write is one transaction that is on the disk when the call returns
/// (`synchronous=FULL`, asserted after opening). Only its owner may read it: it holds gossip keys.
/// The file is held exclusively: two daemons on one
/// database would be two nodes with one identity.
package final class RowStore: Sendable {
    /// The layout that this release writes, kept in `user_version`: 2 has checksums of rows.
    package static let layout = 2
    /// "GnRi", kept in `application_id`.
    static let applicationID = 0x476e_5269

    /// Pages in the log before they are copied into the file: 8 MiB.
    ///
    /// The commit that fills it waits for two more syncs; SQLite's own 1,000 pages would make that
    /// twice as often.
    private static let walPagesMax = 2_000

    /// Where the file is.
    package let path: String
    private let queue: DatabaseQueue

    /// Opens the file, or makes it.
    package init(path: String) throws(RowStoreError) {
        self.path = path
        var configuration = Configuration()
        configuration.label = "genie.rows"
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA locking_mode = EXCLUSIVE")
            try database.execute(sql: "PRAGMA journal_mode = WAL")
            try database.execute(sql: "PRAGMA synchronous = FULL")
            try database.execute(sql: "PRAGMA wal_autocheckpoint = \(Self.walPagesMax)")
        }
        try Self.keepToOwner(path)
        do {
            queue = try DatabaseQueue(path: path, configuration: configuration)
            try queue.write { try Self.prepare($0, path: path) }
            try queue.writeWithoutTransaction { try Self.lengthenLog($0) }
        } catch let error as RowStoreError {
            throw error
        } catch {
            throw Self.translate(error, path: path, isOpening: true)
        }
    }

    /// Makes the file before SQLite does, and takes from others what rights they have.
    ///
    /// SQLite gives the log beside it the file's own mode; one that an earlier release left has its
    /// rights taken too.
    private static func keepToOwner(_ path: String) throws(RowStoreError) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0o600)
        guard descriptor >= 0, fchmod(descriptor, 0o600) == 0 else {
            let detail = String(cString: strerror(errno))
            if descriptor >= 0 { Glibc.close(descriptor) }
            throw .unopenable(path: path, detail: detail)
        }
        Glibc.close(descriptor)
        for name in [path + "-wal", path + "-journal"] {
            guard chmod(name, 0o600) == 0 || errno == ENOENT else {
                throw .unopenable(path: name, detail: String(cString: strerror(errno)))
            }
        }
    }

    private static func prepare(_ database: Database, path: String) throws {
        let layout = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        let application = try Int.fetchOne(database, sql: "PRAGMA application_id") ?? 0
        let isNew = try !database.tableExists("sqlite_sequence") && !database.tableExists("row")
        if application != applicationID {
            guard isNew, application == 0, layout == 0,
                try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master") == 0
            else { throw RowStoreError.foreign(path: path) }
        }
        guard layout == Self.layout || (isNew && layout == 0) else {
            throw RowStoreError.otherLayout(path: path, found: layout, supported: Self.layout)
        }
        let check = try String.fetchOne(database, sql: "PRAGMA quick_check(1)") ?? "no answer"
        guard check == "ok" else { throw RowStoreError.corrupt(path: path, detail: check) }
        let synchronous = try Int.fetchOne(database, sql: "PRAGMA synchronous")
        precondition(synchronous == 2, "acceptors need synchronous=FULL")
        try database.execute(
            sql: """
                CREATE TABLE IF NOT EXISTS row (
                    space INTEGER NOT NULL,
                    key BLOB NOT NULL,
                    value BLOB NOT NULL,
                    checksum INTEGER NOT NULL,
                    PRIMARY KEY (space, key)
                ) WITHOUT ROWID
                """
        )
        try database.execute(sql: "PRAGMA application_id = \(applicationID)")
        try database.execute(sql: "PRAGMA user_version = \(Self.layout)")
    }

    /// Gives the log its length at once, and begins it anew.
    ///
    /// A commit that makes the log longer has the file system write down the new length as well,
    /// which takes half as long again as the commit itself. A disk without that much room is used
    /// as it is.
    private static func lengthenLog(_ database: Database) throws {
        let pageSize = try Int.fetchOne(database, sql: "PRAGMA page_size") ?? 4_096
        do {
            try fillLog(database, byteCount: walPagesMax * pageSize)
        } catch let error as DatabaseError where error.resultCode == .SQLITE_FULL {
            return
        }
        _ = try database.checkpoint(.restart)
    }

    private static func fillLog(_ database: Database, byteCount: Int) throws {
        try database.inTransaction {
            try database.execute(sql: "CREATE TABLE filler (content BLOB)")
            try database.execute(
                sql: "INSERT INTO filler VALUES (zeroblob(?))",
                arguments: [byteCount]
            )
            try database.execute(sql: "DROP TABLE filler")
            return .commit
        }
    }

    /// All rows of a space, by key.
    ///
    /// - Throws: where a row is not what was written, which SQLite does not notice: a steward that
    ///   believed it would have all others believe it.
    package func rows(space: Int) throws(RowStoreError) -> [StoredRow] {
        do {
            return try queue.read { database in
                let rows = try Row.fetchAll(
                    database,
                    sql: "SELECT key, value, checksum FROM row WHERE space = ? ORDER BY key",
                    arguments: [space]
                )
                return try rows.map { row in
                    let (key, value) = (bytes(row, "key"), bytes(row, "value"))
                    let written: Int64 = row["checksum"]
                    guard written == checksum(space, key, value) else {
                        throw RowStoreError.corrupt(
                            path: path,
                            detail: "a row of space \(space) is not what was written"
                        )
                    }
                    return StoredRow(space: space, key: key, value: value)
                }
            }
        } catch let error as RowStoreError {
            throw error
        } catch {
            throw Self.translate(error, path: path, isOpening: false)
        }
    }

    /// Makes all changes in one transaction, durable when this returns.
    package func write(_ changes: [StoredRow]) throws(RowStoreError) {
        guard !changes.isEmpty else { return }
        do {
            try queue.write { database in
                let put = try database.cachedStatement(
                    sql: """
                        INSERT INTO row (space, key, value, checksum) VALUES (?, ?, ?, ?)
                        ON CONFLICT (space, key)
                        DO UPDATE SET value = excluded.value, checksum = excluded.checksum
                        """
                )
                let delete = try database.cachedStatement(
                    sql: "DELETE FROM row WHERE space = ? AND key = ?"
                )
                for change in changes {
                    let key = blob(change.key)
                    if let value = change.value {
                        let sum = checksum(change.space, change.key, value)
                        try put.execute(arguments: [change.space, key, blob(value), sum])
                    } else {
                        try delete.execute(arguments: [change.space, key])
                    }
                }
            }
        } catch {
            throw Self.translate(error, path: path, isOpening: false)
        }
    }

    /// Closes the file; nothing may be read or written after this.
    package func close() throws(RowStoreError) {
        do { try queue.close() } catch {
            throw Self.translate(error, path: path, isOpening: false)
        }
    }

    private static func translate(
        _ error: any Error,
        path: String,
        isOpening: Bool
    ) -> RowStoreError {
        guard let error = error as? DatabaseError else {
            return .failed(path: path, detail: "\(error)")
        }
        let detail = error.message ?? error.resultCode.description
        switch error.resultCode {
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: return .corrupt(path: path, detail: detail)
        case .SQLITE_BUSY, .SQLITE_LOCKED: return .locked(path: path)
        default:
            return isOpening
                ? .unopenable(path: path, detail: detail) : .failed(path: path, detail: detail)
        }
    }
}

/// An empty blob reads back as one; GRDB would bind empty `Data` as a zero-length blob too.
private func blob(_ bytes: [UInt8]) -> DatabaseValue {
    Data(bytes).databaseValue
}

private func bytes(_ row: Row, _ column: String) -> [UInt8] {
    let data: Data = row[column]
    return Array(data)
}

/// Finds what a disk changed; no more is asked of it.
private func checksum(_ space: Int, _ key: [UInt8], _ value: [UInt8]) -> Int64 {
    var hash = StableHash()
    hash.combine(UInt64(space))
    hash.combine(UInt64(key.count))
    hash.combine(key)
    hash.combine(value)
    return Int64(bitPattern: hash.value)
}
