import Fuzzing

/// Runs one input; here, since a target of one file would be taken for a script.
func check(_ target: FuzzTarget, _ input: UnsafeBufferPointer<UInt8>) {
    do throws(FuzzFinding) {
        try target.run(Array(input))
    } catch {
        fatalError("\(target.rawValue) breaks a law: \(error)")
    }
}
