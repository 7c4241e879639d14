import Fuzzing
import Glibc

/// The target that `GENIE_FUZZ_TARGET` names.
private let target: FuzzTarget = {
    let name = getenv("GENIE_FUZZ_TARGET").map { String(cString: $0) } ?? ""
    guard let target = FuzzTarget(rawValue: name) else {
        let names = FuzzTarget.allCases.map(\.rawValue).joined(separator: ", ")
        fatalError("GENIE_FUZZ_TARGET is '\(name)'; it has to be one of \(names)")
    }
    return target
}()

/// What libFuzzer calls with each input; a broken law ends the process, as a trap does.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    check(target, UnsafeBufferPointer(start: start, count: count))
    return 0
}
