import Foundation
import LabNet

/// A folder of programs in which `genied` runs under the power switch, and the switch.
struct PowerSwitch {
    private let folder: URL
    private let node: URL

    /// What `scripts/lab` is to start daemons with.
    var environment: [String: String] { ["GENIE_BIN": folder.path] }

    init(labID: Int) throws {
        node = URL(filePath: "/run/genie-lab/\(labID)/node1")
        folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for name in ["genie", "genie-ring"] {
            try FileManager.default.createSymbolicLink(
                atPath: folder.appending(path: name).path,
                withDestinationPath: "\(Lab.binaries)/\(name)"
            )
        }
        let daemon = folder.appending(path: "genied")
        try """
        #!/bin/sh
        export POWER_SWITCH_DATA=/var/lib/genie/ POWER_SWITCH_FILE=/run/genie/power-switch
        export LD_PRELOAD='\(Lab.binaries)/libPowerSwitch.so'
        exec '\(Lab.binaries)/genied' "$@"

        """.write(to: daemon, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o755],
            ofItemAtPath: daemon.path
        )
    }

    private var file: URL { node.appending(path: "run/power-switch") }

    /// Lets the daemon take so many steps more.
    func cut(after steps: Int) throws {
        // Whole at once: the daemon may read at any time.
        try "\(steps)\n".write(to: file, atomically: true, encoding: .utf8)
    }

    /// The kind of the step at which the power went.
    func lastCut() throws -> String {
        try String(contentsOfFile: file.path + ".cut", encoding: .utf8)
    }

    /// No power is lost any more.
    func leaveOn() throws { try FileManager.default.removeItem(at: file) }

    /// Every file is what it was when it was synced last.
    func loseUnsynced() throws {
        let data = node.appending(path: "data")
        for name in try FileManager.default.contentsOfDirectory(atPath: data.path)
        where name.hasSuffix(".synced") {
            let target = data.appending(path: String(name.dropLast(".synced".count)))
            let copy = data.appending(path: name)
            // A journal that SQLite has removed stays removed.
            guard FileManager.default.fileExists(atPath: target.path) else {
                try FileManager.default.removeItem(at: copy)
                continue
            }
            let content = try Data(contentsOf: copy)
            // In place: the file keeps its mode and owner.
            let handle = try FileHandle(forWritingTo: target)
            try handle.truncate(atOffset: 0)
            try handle.write(contentsOf: content)
            try handle.close()
        }
    }

    func remove() { try? FileManager.default.removeItem(at: folder) }
}
