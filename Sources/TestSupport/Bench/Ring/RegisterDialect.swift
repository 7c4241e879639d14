/// What a client asks of a register, whatever the program.
enum RegisterQuestion: Hashable, Sendable {
    /// Set it if it still has this version; what it holds is told otherwise.
    case compareAndSet(key: String, expected: UInt64, value: String)
    /// What it holds, linearizable.
    case read(key: String)
    /// Tell of changes; of the next one behind this version, or of all from now on.
    case watch(key: String, after: UInt64)
}

/// What a client is told.
enum RegisterAnswer: Hashable, Sendable {
    /// It was set, and has this version now.
    case committed(version: UInt64)
    /// It had this version.
    case conflict(version: UInt64)
    /// It has this version: the answer to a read, or what a watch tells.
    case holds(version: UInt64)
    /// A watch has begun.
    case watching
    /// Something else, in the program's words.
    case failed(String)
}

/// How one program is spoken to over one connection.
///
/// The code around it (sockets, waiting, clocks) is the same for all programs.
protocol RegisterDialect {
    /// What is sent when the connection is there; empty for nothing.
    var greeting: [UInt8] { get }
    /// Whether a watch tells of one change only and has to be asked for again.
    var hasOneShotWatches: Bool { get }

    /// The bytes of a question; one is asked at a time.
    mutating func question(_ question: RegisterQuestion) -> [UInt8]

    /// Takes in bytes, and gives back what is to be sent at once (nothing, mostly).
    ///
    /// - Throws: where they are not what the program's protocol allows.
    mutating func take(_ bytes: UnsafeRawBufferPointer) throws(BenchError) -> [UInt8]

    /// The next answer that has arrived whole.
    mutating func next() throws(BenchError) -> RegisterAnswer?
}

/// `genied`: the node API, HTTP/1.1 and JSON.
struct GenieDialect: RegisterDialect {
    let greeting: [UInt8] = []
    let hasOneShotWatches = true
    private var reader = AnswerReader()
    private var asked = Asked.change

    private enum Asked { case change, read }

    init() {}

    mutating func question(_ question: RegisterQuestion) -> [UInt8] {
        switch question {
        case .compareAndSet(let key, let expected, let value):
            asked = .change
            let body = #"{"key":"\#(key)","expectedVersion":\#(expected),"text":"\#(value)"}"#
            return HTTPText.request("POST", "/v1/registers", body)
        case .read(let key):
            asked = .read
            return HTTPText.request("GET", "/v1/registers/\(HTTPText.segment(key))", "")
        case .watch(let key, let version):
            asked = .read
            let query = "after=\(version)&waitMilliseconds=60000"
            return HTTPText.request("GET", "/v1/registers/\(HTTPText.segment(key))?\(query)", "")
        }
    }

    mutating func take(_ bytes: UnsafeRawBufferPointer) throws(BenchError) -> [UInt8] {
        reader.append(bytes)
        return []
    }

    mutating func next() throws(BenchError) -> RegisterAnswer? {
        guard let answer = try reader.next() else { return nil }
        guard answer.status == 200, let version = answer.body.number(after: #""version":"#) else {
            return .failed(answer.text)
        }
        switch asked {
        case .read: return .holds(version: version)
        case .change:
            return answer.body.contains(#""outcome":"committed""#)
                ? .committed(version: version) : .conflict(version: version)
        }
    }
}

/// etcd over its JSON gateway, HTTP/1.1.
struct EtcdGatewayDialect: RegisterDialect {
    let greeting: [UInt8] = []
    let hasOneShotWatches = false
    private var reader = AnswerReader()
    private var asked = Asked.read

    private enum Asked {
        case change(expected: UInt64)
        case read
        case watch
    }

    init() {}

    mutating func question(_ question: RegisterQuestion) -> [UInt8] {
        switch question {
        case .compareAndSet(let key, let expected, let value):
            asked = .change(expected: expected)
            let (key, value) = (HTTPText.base64(key), HTTPText.base64(value))
            let body =
                #"{"compare":[{"key":"\#(key)","target":"VERSION","version":"\#(expected)"}],"#
                + #""success":[{"requestPut":{"key":"\#(key)","value":"\#(value)"}}],"#
                + #""failure":[{"requestRange":{"key":"\#(key)"}}]}"#
            return HTTPText.request("POST", "/v3/kv/txn", body)
        case .read(let key):
            asked = .read
            return HTTPText.request("POST", "/v3/kv/range", #"{"key":"\#(HTTPText.base64(key))"}"#)
        case .watch(let key, _):
            asked = .watch
            reader.isStream = true
            let body = #"{"create_request":{"key":"\#(HTTPText.base64(key))"}}"#
            return HTTPText.request("POST", "/v3/watch", body)
        }
    }

    mutating func take(_ bytes: UnsafeRawBufferPointer) throws(BenchError) -> [UInt8] {
        reader.append(bytes)
        return []
    }

    mutating func next() throws(BenchError) -> RegisterAnswer? {
        guard let answer = try reader.next() else { return nil }
        guard answer.status == 200 else { return .failed(answer.text) }
        // A register that was never written has no version here.
        let version = answer.body.number(after: #""version":""#) ?? 0
        switch asked {
        case .read: return .holds(version: version)
        case .watch:
            if answer.body.contains(#""events""#) { return .holds(version: version) }
            return answer.body.contains(#""created":true"#) ? .watching : .failed(answer.text)
        case .change(let expected):
            return answer.body.contains(#""succeeded":true"#)
                ? .committed(version: expected + 1) : .conflict(version: version)
        }
    }
}
