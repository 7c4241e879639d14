import PeerTransport

/// Laws: frames are the same however the stream is cut; together they are the front of the stream;
/// nothing comes behind a length over the limit.
///
/// The first byte says how the stream is cut, the rest is the stream.
enum StreamFuzz {
    static func run(_ input: [UInt8]) throws(FuzzFinding) {
        guard let cut = input.first else { return }
        let stream = Array(input.dropFirst())
        let whole = decode([stream[...]])
        var pieces: [ArraySlice<UInt8>] = []
        var (place, step) = (0, Int(cut))
        while place < stream.count {
            step = (step * 5 + 3) % 31
            pieces.append(stream[place..<min(stream.count, place + step)])
            place += step
        }
        let cutUp = decode(pieces)
        try law(whole == cutUp, "a cut changes what is read: \(whole) and \(cutUp)")
        var front: [UInt8] = []
        for frame in whole.frames {
            try law(frame.count <= lengthMax, "a frame of \(frame.count) bytes is over the limit")
            front += FrameDecoder.header(length: frame.count) + frame
        }
        try law(stream.starts(with: front), "frames that were not sent")
    }

    private static let lengthMax = 300

    private struct Outcome: Equatable {
        var frames: [[UInt8]] = []
        var refused: Int?
    }

    private static func decode(_ pieces: [ArraySlice<UInt8>]) -> Outcome {
        var decoder = FrameDecoder(lengthMax: lengthMax)
        var outcome = Outcome()
        for piece in pieces {
            piece.withUnsafeBytes { decoder.append($0) }
            var isHungry = false
            while !isHungry {
                switch decoder.next() {
                case .frame(let bytes): outcome.frames.append(bytes)
                case .incomplete: isHungry = true
                case .oversized(let length):
                    outcome.refused = length
                    return outcome
                }
            }
        }
        return outcome
    }

    static var seeds: [FuzzSeed] {
        func frame(_ length: Int) -> [UInt8] {
            FrameDecoder.header(length: length) + [UInt8](repeating: 5, count: length)
        }
        return [
            FuzzSeed("three-frames", [1] + frame(2) + frame(0) + frame(40)),
            FuzzSeed("empty-frames", [2] + frame(0) + frame(0) + frame(0)),
            FuzzSeed("at-the-limit", [3] + frame(300)),
            FuzzSeed("over-the-limit", [4] + frame(1) + frame(301)),
            FuzzSeed("length-of-4-gib", [5, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]),
            FuzzSeed("half-a-header", [6] + frame(3) + [0, 0]),
            FuzzSeed("half-a-frame", [7] + frame(3) + frame(20).prefix(9)),
        ]
    }
}
