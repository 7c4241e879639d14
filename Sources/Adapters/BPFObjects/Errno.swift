internal import Glibc

/// The C library's words for an errno, with its number.
func errnoText(_ code: Int32) -> String {
    "\(String(cString: strerror(code))) (errno \(code))"
}

/// The positive errno in a libbpf result, which is negative on failure; nil on success.
func failure(of result: Int32) -> Int32? {
    result < 0 ? -result : nil
}

/// Whether the kernel meant that the process may not.
func isPrivilegeErrno(_ code: Int32) -> Bool {
    code == EPERM || code == EACCES
}
