import Archive
import Synchronization
import WAL

/// Where rivals meet: a store in memory in which every request, and every wait, is held until somebody says what becomes of it and when.
///
/// One thing happens at a time, so a run follows from the choices that were made. A create on a store without conditions is what it is on a
/// server: a look, and a PUT that may come at any time after it.
final class RaceStage: Sendable {
    struct Manners: OptionSet, Hashable, Sendable {
        let rawValue: Int
        /// A second create is refused.
        static let conditions = Manners(rawValue: 1)
        /// A second MKCOL is refused.
        static let collections = Manners(rawValue: 2)
    }

    /// What becomes of a request.
    enum Fate: CaseIterable, Sendable {
        case answered
        /// It is done, and its sender is told that nobody knows.
        case replyLost
        /// Its sender is told that nobody knows, and it is done some time later, or never if it reads.
        case late
        /// The sender dies; the request was not sent.
        case dies
        /// The sender dies after it was done.
        case diesAfter
        /// The sender dies, and only the beginning of what it sent is stored.
        case diesInside
    }

    enum Request: Sendable {
        case get(ObjectKey)
        case look(ObjectKey)
        case put(ObjectKey, [UInt8], onlyIfAbsent: Bool)
        case makeCollection(ObjectKey)
        case sleep
    }

    enum Answer: Sendable {
        case bytes([UInt8]?)
        case outcome(CreateOutcome)
        case unknown
        case dead
    }

    private struct Held {
        var request: Request
        /// When it was made.
        var since: Int
        var continuation: CheckedContinuation<Answer, Never>
    }
    private struct Late {
        var key: ObjectKey
        var bytes: [UInt8]
        var onlyIfAbsent: Bool
        /// When its sender looked.
        var lookedAt: Int
    }
    private struct State {
        var objects: [ObjectKey: [UInt8]] = [:]
        var collections: Set<ObjectKey> = []
        var held: [Int: Held] = [:]
        var late: [Late] = []
        /// When each rival's last look found a name free that it has not written since.
        var lookedAt: [Int: Int] = [:]
        var dead: Set<Int> = []
        var running: Int
        var clock = 0
        var whenQuiet: CheckedContinuation<Void, Never>?
    }

    let manners: Manners
    /// What is fought for; a look at it that finds nothing is followed by writing it, or by another look.
    private let prize: ObjectKey
    private let state: Mutex<State>

    init(_ manners: Manners, rivals: Int, prize: ObjectKey) {
        self.manners = manners
        self.prize = prize
        state = Mutex(State(running: rivals))
    }

    var objects: [ObjectKey: [UInt8]] { state.withLock { $0.objects } }

    // MARK: The rivals' side

    func ask(_ rival: Int, _ request: Request) async -> Answer {
        await withCheckedContinuation { continuation in
            let quiet: CheckedContinuation<Void, Never>? = state.withLock { state in
                if state.dead.contains(rival) {
                    continuation.resume(returning: .dead)
                    return nil
                }
                // Who sleeps looks again before it writes.
                if case .sleep = request { state.lookedAt[rival] = nil }
                state.held[rival] = Held(request: request, since: state.clock, continuation: continuation)
                return RaceStage.pause(&state)
            }
            quiet?.resume()
        }
    }

    /// The rival has ended.
    func leave(_ rival: Int) {
        let quiet = state.withLock { state in
            state.lookedAt[rival] = nil
            return RaceStage.pause(&state)
        }
        quiet?.resume()
    }

    private static func pause(_ state: inout State) -> CheckedContinuation<Void, Never>? {
        state.running -= 1
        guard state.running == 0 else { return nil }
        defer { state.whenQuiet = nil }
        return state.whenQuiet
    }

    // MARK: The chooser's side

    enum Move: Hashable, Sendable {
        case request(rival: Int, Fate)
        case arrival(Int)
    }

    /// Waits until everybody waits.
    func quiet() async {
        await withCheckedContinuation { continuation in
            let isQuiet = state.withLock { state in
                if state.running == 0 { return true }
                state.whenQuiet = continuation
                return false
            }
            if isQuiet { continuation.resume() }
        }
    }

    /// What can happen now, in a fixed order. `isBounded`: a wait does not end before what was looked for ahead of it has landed, which is what
    /// claim-settle stands for. `faults`: whether anything but answers may be chosen.
    func moves(isBounded: Bool, faults: Bool) -> [Move] {
        state.withLock { state in
            var moves: [Move] = []
            for (rival, held) in state.held.sorted(by: { $0.key < $1.key }) {
                if case .sleep = held.request {
                    let lands = state.late.contains { $0.lookedAt <= held.since }
                    let writes = state.lookedAt.contains { $0.key != rival && $0.value <= held.since && !state.dead.contains($0.key) }
                    if !isBounded || !(lands || writes) { moves.append(.request(rival: rival, .answered)) }
                    continue
                }
                for fate in faults ? Fate.allCases : [.answered] { moves.append(.request(rival: rival, fate)) }
            }
            for index in state.late.indices { moves.append(.arrival(index)) }
            return moves
        }
    }

    func make(_ move: Move) {
        switch move {
        case .arrival(let index):
            state.withLock { state in
                state.clock += 1
                let late = state.late.remove(at: index)
                _ = RaceStage.put(late.key, late.bytes, onlyIfAbsent: late.onlyIfAbsent && manners.contains(.conditions), &state)
            }
        case .request(let rival, let fate):
            let (held, answer): (Held, Answer) = state.withLock { state in
                state.clock += 1
                guard let held = state.held.removeValue(forKey: rival) else { preconditionFailure("nobody waits") }
                state.running += 1
                return (held, perform(held.request, rival, fate, &state))
            }
            held.continuation.resume(returning: answer)
        }
    }

    private func perform(_ request: Request, _ rival: Int, _ fate: Fate, _ state: inout State) -> Answer {
        switch fate {
        case .answered: return serve(request, rival, &state)
        case .replyLost:
            _ = serve(request, rival, &state)
            return .unknown
        case .late:
            if case .put(let key, let bytes, let onlyIfAbsent) = request {
                state.late.append(Late(key: key, bytes: bytes, onlyIfAbsent: onlyIfAbsent, lookedAt: state.lookedAt[rival] ?? state.clock))
                state.lookedAt[rival] = nil
            }
            return .unknown
        case .diesAfter: _ = serve(request, rival, &state)
        case .diesInside:
            if case .put(let key, let bytes, let onlyIfAbsent) = request {
                let isExclusive = onlyIfAbsent && manners.contains(.conditions)
                _ = RaceStage.put(key, Array(bytes.prefix(bytes.count / 2)), onlyIfAbsent: isExclusive, &state)
            }
        case .dies: break
        }
        state.dead.insert(rival)
        state.lookedAt[rival] = nil
        return .dead
    }

    private func serve(_ request: Request, _ rival: Int, _ state: inout State) -> Answer {
        switch request {
        case .sleep: return .outcome(.created)
        case .get(let key), .look(let key):
            let found = state.objects[key]
            // One that was cut short is as good as none.
            if key == prize { state.lookedAt[rival] = found?.last == UInt8(ascii: "}") ? nil : state.clock }
            return .bytes(found)
        case .makeCollection(let key):
            let isNew = state.collections.insert(key).inserted
            if isNew, prize.path.hasPrefix(key.path) { state.lookedAt[rival] = state.clock }
            return .outcome(isNew ? .created : .exists)
        case .put(let key, let bytes, let onlyIfAbsent):
            state.lookedAt[rival] = nil
            return .outcome(RaceStage.put(key, bytes, onlyIfAbsent: onlyIfAbsent && manners.contains(.conditions), &state))
        }
    }

    private static func put(_ key: ObjectKey, _ bytes: [UInt8], onlyIfAbsent: Bool, _ state: inout State) -> CreateOutcome {
        if onlyIfAbsent, state.objects[key] != nil { return .exists }
        state.objects[key] = bytes
        return .created
    }
}

/// The stage as one rival sees it.
struct RaceStore: ObjectStore {
    let stage: RaceStage
    let rival: Int

    static let dead = ArchiveError(.cancelled, "dead")
    private static let unknown = ArchiveError(.unreachable, "no reply", outcome: .unknown)

    var name: String { "race" }
    var capabilities: StoreCapabilities {
        get async {
            var all: StoreCapabilities = [.probed]
            if stage.manners.contains(.conditions) { all.insert(.conditionalCreate) }
            if stage.manners.contains(.collections) { all.insert(.exclusiveCollections) }
            return all
        }
    }
    func probe(prefix: ObjectKey) async throws(ArchiveError) -> StoreCapabilities { await capabilities }
    func assume(_ capabilities: StoreCapabilities) async {}

    private func bytes(_ request: RaceStage.Request) async throws(ArchiveError) -> [UInt8]? {
        switch await stage.ask(rival, request) {
        case .bytes(let bytes): return bytes
        case .unknown: throw Self.unknown
        case .dead, .outcome: throw Self.dead
        }
    }

    private func outcome(_ request: RaceStage.Request) async throws(ArchiveError) -> CreateOutcome {
        switch await stage.ask(rival, request) {
        case .outcome(let outcome): return outcome
        case .unknown: throw Self.unknown
        case .dead, .bytes: throw Self.dead
        }
    }

    func create(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) -> CreateOutcome {
        if !stage.manners.contains(.conditions), try await self.bytes(.look(key)) != nil { return .exists }
        return try await outcome(.put(key, bytes, onlyIfAbsent: true))
    }
    func replace(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) {
        _ = try await outcome(.put(key, bytes, onlyIfAbsent: false))
    }
    func get(_ key: ObjectKey, range: Range<UInt64>?, limit: Int) async throws(ArchiveError) -> [UInt8] {
        guard let found = try await bytes(.get(key)) else { throw ArchiveError(.notFound, "nothing is there", key: key) }
        return found
    }
    func head(_ key: ObjectKey) async throws(ArchiveError) -> ObjectInfo? {
        try await bytes(.look(key)).map { ObjectInfo(size: UInt64($0.count)) }
    }
    func delete(_ key: ObjectKey) async throws(ArchiveError) { throw ArchiveError(.unsupported, "nobody deletes here") }
    func makeCollection(_ key: ObjectKey) async throws(ArchiveError) -> CreateOutcome { try await outcome(.makeCollection(key)) }
    func list(_ prefix: ObjectKey) async throws(ArchiveError) -> [ObjectKey] { throw ArchiveError(.unsupported, "nobody lists here") }

    func sleep(_ seconds: Double) async throws {
        if case .dead = await stage.ask(rival, .sleep) { throw Self.dead }
    }
}

/// Chooses, and can be asked for the next run.
protocol RaceChooser {
    /// From 0 to `count` - 1.
    mutating func pick(_ count: Int) -> Int
}

/// Every choice in turn, depth first.
struct EveryChoice: RaceChooser {
    private var path: [(chosen: Int, count: Int)] = []
    private var depth = 0

    mutating func pick(_ count: Int) -> Int {
        defer { depth += 1 }
        if depth == path.count { path.append((0, count)) }
        precondition(path[depth].count == count, "the same choices lead to the same moves")
        return path[depth].chosen
    }

    /// Goes on to the next run; false after the last.
    mutating func next() -> Bool {
        depth = 0
        while let last = path.last {
            if last.chosen + 1 < last.count {
                path[path.count - 1].chosen += 1
                return true
            }
            path.removeLast()
        }
        return false
    }
}
