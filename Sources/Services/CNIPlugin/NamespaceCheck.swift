import Glibc

/// Guards against a runtime that names the node's own namespace as a container's.
enum NamespaceCheck {
    /// The variable by which a runtime says that it means it.
    static let overrideVariable = "CNI_NETNS_OVERRIDE"

    /// Whether `path` is the namespace of this process; no when it cannot be looked at.
    static func isOwn(_ path: String, _ environment: (String) -> String?) -> Bool {
        let override = (environment(overrideVariable) ?? "").lowercased()
        if override == "1" || override == "true" { return false }
        var named = stat()
        var own = stat()
        guard stat(path, &named) == 0, stat("/proc/self/ns/net", &own) == 0 else { return false }
        return named.st_dev == own.st_dev && named.st_ino == own.st_ino
    }
}
