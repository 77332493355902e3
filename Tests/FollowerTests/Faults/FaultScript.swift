import Foundation
import Synchronization
import TestSupport
import Testing

/// What goes wrong between a shipper and its store: which requests are met, how often, and what happens to them.
struct FaultScript: Sendable, CustomTestStringConvertible {
    /// What a request is about, from its path.
    enum Kind: Hashable, Sendable, CaseIterable {
        case probe, logDocument, claim, start, floor, head, segment, tail, gap, temporary, other

        init(_ path: String) {
            self =
                if path.contains("/.probe/") { .probe } else if path.contains(".tmp-") { .temporary } else if path.hasSuffix("/log.json") {
                    .logDocument
                } else if path.hasSuffix("/claim.json") { .claim } else if path.hasSuffix("/start.json") { .start } else if path.hasSuffix("/floor.json") {
                    .floor
                } else if path.contains("/heads/") { .head } else if path.contains("/segments/") { .segment } else if path.contains("/tail/") {
                    .tail
                } else if path.contains("/gaps/") { .gap } else { .other }
        }

        static let objects: Set<Kind> = [.segment, .tail]
        static let documents: Set<Kind> = [.logDocument, .claim, .start, .floor, .head]
    }

    struct Rule: Sendable {
        /// Empty: every method.
        var methods: Set<String> = []
        /// Empty: every kind but the probe's.
        var kinds: Set<Kind> = []
        /// Every so many of those requests, the last of each so many.
        var every = 3
        var atMost = Int.max
        /// What happens to each, in turn.
        var replies: [FaultServer.Reply]
    }

    var name: String
    var rules: [Rule]
    /// How often the shipper is stopped where it stands, and started again.
    var restarts = 0
    /// So many tails that some are merged.
    var merges = false
    /// The store's probe goes through the faults too; otherwise what it finds is known beforehand.
    var probes = false
    var testDescription: String { name }

    /// The script as it answers; it counts what it meets.
    func answers() -> @Sendable (FaultServer.Request) -> FaultServer.Reply {
        let rules = rules
        let state = Mutex([(met: Int, done: Int)](repeating: (0, 0), count: rules.count))
        return { request in
            let kind = Kind(request.path)
            for (index, rule) in rules.enumerated() {
                guard rule.methods.isEmpty || rule.methods.contains(request.method) else { continue }
                guard rule.kinds.isEmpty ? kind != .probe : rule.kinds.contains(kind) else { continue }
                let reply: FaultServer.Reply? = state.withLock { state in
                    state[index].met += 1
                    guard state[index].met.isMultiple(of: rule.every), state[index].done < rule.atMost else { return nil }
                    state[index].done += 1
                    return rule.replies[(state[index].done - 1) % rule.replies.count]
                }
                if let reply { return reply }
            }
            return .forward(Forwarding())
        }
    }

    private static func forward(
        _ arrivals: [Int] = [0], delay: Duration = .zero, body: Forwarding.Body = .whole, _ reply: Forwarding.Reply = .whole,
        replyDelay: Duration = .zero
    ) -> FaultServer.Reply {
        .forward(Forwarding(arrivals: arrivals, delay: delay, body: body, reply: reply, replyDelay: replyDelay))
    }

    private static func forward(_ reply: Forwarding.Reply) -> FaultServer.Reply { forward([0], reply) }

    static let writes: Set<String> = ["PUT", "MOVE", "DELETE"]
    private static let reads: Set<String> = ["GET", "HEAD"]

    /// The words of what can go wrong, one script each. Stalls wait for a whole second, so there are few.
    static let named: [FaultScript] = [
        FaultScript(
            name: "delayed requests and replies",
            rules: [Rule(every: 4, replies: [forward(delay: .milliseconds(15)), forward(replyDelay: .milliseconds(15))])]),
        FaultScript(
            name: "cut requests",
            rules: [Rule(methods: ["PUT"], every: 3, replies: [500, 0, 990].map { forward(body: .cut(permille: $0)) })], merges: true),
        FaultScript(
            name: "reset requests and replies",
            rules: [Rule(every: 4, replies: [forward([], .reset), forward(.reset), .close])]),
        FaultScript(
            name: "stalled requests and replies",
            rules: [
                Rule(methods: ["PUT"], kinds: Kind.objects, every: 5, atMost: 2, replies: [forward(.stalled), .stall]),
                Rule(methods: ["GET"], kinds: Kind.objects, every: 9, atMost: 1, replies: [forward(.stalledWithin(permille: 700))]),
            ]),
        FaultScript(
            name: "truncated replies",
            rules: [Rule(methods: ["GET"], every: 3, replies: [500, 0, 999].map { forward(.truncated(permille: $0)) })]),
        FaultScript(
            name: "duplicated requests",
            rules: [Rule(methods: writes, every: 1, replies: [forward([0, 0])])], merges: true),
        FaultScript(
            name: "requests that arrive again much later",
            rules: [Rule(methods: writes, every: 1, replies: [forward([0, 40]), forward([0, 9])])], merges: true),
        FaultScript(
            name: "requests that time out and arrive much later",
            rules: [Rule(methods: writes, every: 3, replies: [forward([30]), forward([5], .reset), forward([0, 200])])], restarts: 1),
        FaultScript(
            name: "lying sizes",
            rules: [
                Rule(methods: ["HEAD"], every: 3, replies: [1, -1, 5000].map { forward(.wrongLength(by: $0)) }),
                Rule(methods: ["GET"], every: 3, replies: [7, -7].map { forward(.wrongLength(by: $0)) }),
            ]),
        FaultScript(
            name: "lying checksums",
            rules: [
                Rule(
                    every: 3,
                    replies: [
                        forward(.lying([
                            ("ETag", "\"00000000000000000000000000000000\""), ("Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
                            ("x-amz-checksum-crc32c", "AAAAAA=="),
                        ]))
                    ])
            ]),
        FaultScript(
            name: "flipped bits on the way there",
            rules: [Rule(methods: ["PUT"], kinds: Kind.objects, every: 3, replies: [500, 3, 999].map { forward(body: .flipped(permille: $0)) })]),
        FaultScript(
            name: "flipped bits on the way back",
            rules: [Rule(methods: ["GET"], kinds: Kind.objects, every: 3, replies: [500, 3, 999].map { forward(.flipped(permille: $0)) })]),
        FaultScript(
            name: "replies lost after the store",
            rules: [Rule(methods: writes.union(["MKCOL"]), every: 2, replies: [forward(.lost)])], restarts: 2, merges: true),
        FaultScript(
            name: "refusals that pass",
            rules: [
                Rule(
                    every: 7,
                    replies: [.respond(503, headers: [("Retry-After", "0")]), .respond(429), .respond(500), .respond(409), .respond(502)])
            ]),
        FaultScript(
            name: "a store that asks for time",
            rules: [Rule(methods: writes, every: 20, atMost: 2, replies: [.respond(503, headers: [("Retry-After", "1")])])]),
        FaultScript(
            name: "yes, and nothing is stored",
            rules: [Rule(methods: ["PUT"], kinds: Kind.objects.union([.head]), every: 4, replies: [.respond(201), .respond(200)])]),
        FaultScript(
            name: "no, and it is stored",
            rules: [
                Rule(methods: ["PUT"], kinds: Kind.objects, every: 2, replies: [forward(.instead(500)), forward(.instead(412)), forward(.instead(504))]),
                Rule(methods: ["DELETE"], every: 3, replies: [forward(.instead(500))]),
            ]),
        FaultScript(
            name: "it is there already, and it is not",
            rules: [Rule(methods: ["PUT"], kinds: Kind.objects, every: 3, replies: [.respond(412)])]),
        FaultScript(
            name: "a probe that everything happens to",
            rules: [
                Rule(kinds: [.probe], every: 4, atMost: 6, replies: [forward(.lost), .respond(503), forward([], .reset), forward([0, 0]), .close]),
                Rule(methods: ["PUT"], every: 4, replies: [forward(.lost)]),
            ], probes: true),
    ]

    /// Anything at any time: what happens to a request follows from the seed, the request, and how often it came.
    static func storm(_ seed: UInt64) -> FaultScript {
        FaultScript(name: "storm \(seed)", rules: [], restarts: Int(seed % 3), merges: seed.isMultiple(of: 2))
    }

    /// One in six requests, and stalls at most twice.
    static func stormAnswers(_ seed: UInt64) -> @Sendable (FaultServer.Request) -> FaultServer.Reply {
        struct State {
            var seen: [String: Int] = [:]
            var stalls = 0
        }
        let state = Mutex(State())
        return { request in
            let kind = Kind(request.path)
            // Epoch ids and temporary names are random, and do not count.
            let name = "\(request.method) \(kind) \(request.path.split(separator: "/").last ?? "")"
            let times = state.withLock { state in
                state.seen[kind == .temporary ? "\(request.method) temporary" : name, default: 0] += 1
                return state.seen[kind == .temporary ? "\(request.method) temporary" : name] ?? 0
            }
            var hash: UInt64 = 0xCBF2_9CE4_8422_2325
            for byte in name.utf8 where kind != .temporary { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
            var random = SeededGenerator(seed: seed &* 0x9E37_79B9 ^ hash ^ UInt64(times) << 40)
            guard kind != .probe, Int.random(in: 0..<6, using: &random) == 0 else { return forward() }
            let permille = Int.random(in: 0...1000, using: &random)
            var choices = [
                forward(delay: .milliseconds(10)), forward(replyDelay: .milliseconds(10)), .close, forward([], .reset), forward(.reset), forward(.lost),
                .respond(503, headers: [("Retry-After", "0")]), .respond(429), .respond(500), forward(.wrongLength(by: permille - 500)),
            ]
            if reads.contains(request.method) { choices.append(forward(.truncated(permille: permille))) }
            if request.method == "GET", Kind.objects.contains(kind) { choices.append(forward(.flipped(permille: permille))) }
            if writes.contains(request.method) {
                choices += [forward([0, 0]), forward([0, permille]), forward([1 + permille / 20]), forward(.instead(500))]
            }
            if request.method == "PUT" { choices += [forward(body: .cut(permille: permille)), .respond(409)] }
            if request.method == "PUT", Kind.objects.contains(kind) {
                choices += [forward(body: .flipped(permille: permille)), .respond(201), forward(.instead(412)), .respond(412)]
            }
            let maystall = state.withLock { state in
                guard state.stalls < 2, permille > 980 else { return false }
                state.stalls += 1
                return true
            }
            if maystall { return permille.isMultiple(of: 2) ? .stall : forward(.stalled) }
            return choices[Int.random(in: 0..<choices.count, using: &random)]
        }
    }
}
