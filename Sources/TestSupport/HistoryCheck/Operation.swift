/// Something that a process did, from its beginning to its end.
package struct Operation: Hashable, Sendable {
    /// Who did it.
    package let process: Int
    /// What it does.
    package let function: HistoryEvent.Function
    /// What it does it to.
    package let key: String
    /// What went in.
    package let input: HistoryEvent.Value
    /// When it began, in nanoseconds.
    package let begin: Int64
    /// How it ended; ``HistoryEvent/Kind/info`` also where the history ends first.
    package let kind: HistoryEvent.Kind
    /// What came out.
    package let output: HistoryEvent.Value
    /// When it ended; the largest number where that is open.
    package let end: Int64

    /// Makes an operation.
    package init(
        process: Int,
        function: HistoryEvent.Function,
        key: String,
        input: HistoryEvent.Value,
        begin: Int64,
        kind: HistoryEvent.Kind,
        output: HistoryEvent.Value,
        end: Int64
    ) {
        self.process = process
        self.function = function
        self.key = key
        self.input = input
        self.begin = begin
        self.kind = kind
        self.output = output
        self.end = kind == .info ? .max : end
    }

    /// The operations of a history, in the order in which they began.
    ///
    /// - Throws: ``HistoryError`` where beginnings and ends do not belong together.
    package static func pair(_ events: [HistoryEvent]) throws(HistoryError) -> [Operation] {
        var open: [Int: HistoryEvent] = [:]
        var operations: [Operation] = []
        func finish(_ begin: HistoryEvent, _ end: HistoryEvent?) {
            operations.append(
                Operation(
                    process: begin.process,
                    function: begin.function,
                    key: begin.key,
                    input: begin.value,
                    begin: begin.timeNanoseconds,
                    kind: end?.type ?? .info,
                    output: end?.value ?? HistoryEvent.Value(),
                    end: end?.timeNanoseconds ?? .max
                )
            )
        }
        for event in events.stablySorted(by: \.timeNanoseconds) {
            switch (event.type, open[event.process]) {
            case (.invoke, nil): open[event.process] = event
            case (.invoke, .some):
                throw .busy(process: event.process, timeNanoseconds: event.timeNanoseconds)
            case (_, nil):
                throw .idle(process: event.process, timeNanoseconds: event.timeNanoseconds)
            case (_, let begin?):
                open[event.process] = nil
                finish(begin, event)
            }
        }
        for begin in open.values { finish(begin, nil) }
        return operations.sorted { ($0.begin, $0.process) < ($1.begin, $1.process) }
    }
}

extension Array {
    /// In rising order of a key; what is equal keeps its order.
    func stablySorted(by key: (Element) -> Int64) -> [Element] {
        enumerated().sorted { (key($0.element), $0.offset) < (key($1.element), $1.offset) }
            .map(\.element)
    }
}
