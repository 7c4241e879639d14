internal import CLinux
internal import Wire

/// Some requests that travel together, and the answers they have had so far.
///
/// Pure: it gives the bytes to send and is told what was received. The kernel carries the requests
/// out in order and goes on after one that it refuses.
package struct Exchange: Sendable {
    /// The requests, in the order of their sequence numbers.
    package let requests: [Request]

    private let firstSequence: UInt32
    private var answers: [Answer]

    private struct Answer {
        var messages: [Message] = []
        var isInterrupted = false
        var verdict: Message.Verdict?
    }

    /// The most requests in one exchange: their acknowledgements must fit a receive buffer.
    package static let countMax = 128

    /// Prepares an exchange; a listing must be alone in it.
    package init(_ requests: [Request], firstSequence: UInt32) {
        precondition((1...Self.countMax).contains(requests.count), "an exchange is bounded")
        precondition(requests.count == 1 || !requests.contains(where: \.isListing))
        self.requests = requests
        self.firstSequence = firstSequence
        answers = requests.map { _ in Answer() }
    }

    /// What to send, in one piece.
    package var bytes: [UInt8] {
        requests.enumerated().flatMap { index, request in
            request.encoded(sequence: firstSequence &+ UInt32(index))
        }
    }

    /// The first request that has no verdict yet.
    package var unanswered: Request? {
        zip(requests, answers).first { $1.verdict == nil }?.0
    }

    /// Takes in a datagram from the kernel.
    ///
    /// Answers to other sequence numbers are passed over: they belong to a request that was given
    /// up earlier.
    /// - Throws: `.unreadable` where the datagram is damaged.
    package mutating func receive(_ datagram: [UInt8]) throws(NetlinkError) {
        do throws(WireError) {
            for message in try Message.all(in: datagram) {
                let index = Int(message.sequence &- firstSequence)
                guard index < answers.count, answers[index].verdict == nil else { continue }
                if message.flags & UInt16(NLM_F_DUMP_INTR) != 0 {
                    answers[index].isInterrupted = true
                }
                if let verdict = try message.verdict() {
                    answers[index].verdict = verdict
                } else {
                    answers[index].messages.append(message)
                }
            }
        } catch {
            throw .unreadable(error)
        }
    }

    /// The messages that answer each request, once all have been answered.
    ///
    /// - Throws: `.refused` for the first request that was refused, `.unanswered` and
    ///   `.interrupted` likewise. The others may have taken effect.
    package func results() throws(NetlinkError) -> [[Message]] {
        for (request, answer) in zip(requests, answers) {
            switch answer.verdict {
            case nil: throw .unanswered(request: request.name)
            case .refused(let errno, let explanation):
                throw .refused(request: request.name, errno: errno, explanation: explanation)
            case .done:
                if answer.isInterrupted { throw .interrupted(request: request.name) }
            }
        }
        return answers.map(\.messages)
    }
}
