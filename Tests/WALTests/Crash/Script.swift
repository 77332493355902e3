import Testing
import TestSupport
import WAL

/// A workload as a value: what is done to a log, step by step.
///
/// Positions are given in thousandths of the durable records that are still there, so that any step makes sense anywhere. A new step is a case here,
/// a `case` in `ScriptRun.perform`, and, where it changes what may be found after a crash, a rule in `Promise`.
struct Script: Sendable, CustomTestStringConvertible {
    enum Step: Hashable, Sendable {
        /// One record of so many bytes.
        case append(Int)
        /// Records of so many bytes each that go in together.
        case batch([Int])
        case sync
        /// Milliseconds: the durable cell falls due after 10.
        case pass(Int)
        /// Nothing was written for a moment: notes are made durable.
        case idle
        case truncateBefore(Int)
        /// The end is cut off after a record of those that were written.
        case truncateAfter(Int)
        case pin(String, Int)
        case unpin(String)
        /// A destination takes its slot, moves it, writes both halves, lets it go.
        case takeSlot
        case moveSlot(Int)
        case settleSlot
        case releaseSlot
        /// Another process truncates.
        case sidecarTruncate(Int)
        /// Closed in order and opened again.
        case reopen
        /// The process dies; another opens the log.
        case die
        /// The directory is copied, the copy is promoted, and goes on as the log: a new epoch.
        case promoteCopy
    }

    enum Kind: Hashable, Sendable {
        case segments(Int)
        case file
    }

    var name: String
    var kind: Kind
    var steps: [Step]
    var testDescription: String { name }

    /// `body` as it is for `kind`: a single file has no sidecars and is not promoted.
    init(_ name: String, _ kind: Kind, _ steps: [Step]) {
        self.name = "\(name), \(kind)"
        self.kind = kind
        self.steps = steps.filter { step in
            switch step {
            case .takeSlot, .moveSlot, .settleSlot, .releaseSlot, .sidecarTruncate, .promoteCopy: kind != .file
            default: true
            }
        }
    }

    /// Bytes that a window of the log holds.
    var window: Int {
        switch kind {
        case .segments(let size): size
        case .file: 1 << 20
        }
    }

    // MARK: Scripts

    static let kinds: [Kind] = [.segments(4096), .segments(8192), .file]

    /// What every log goes through, each once for every kind.
    static let written: [Script] = kinds.flatMap { kind in
        let window = Script("", kind, []).window
        let most = window - 600
        return [
            Script("birth", kind, [.append(3), .sync, .append(0), .append(100), .reopen, .append(5), .sync]),
            Script(
                "switch", kind,
                [.append(most), .sync, .append(300), .append(window - 8), .pass(20), .append(600), .sync, .idle, .append(700), .sync, .die, .append(9)]),
            // Frames and segments that end together.
            Script("boundary", kind, [.append(window - 8), .sync, .append(window - 8), .append(1), .sync, .die, .append(4), .sync]),
            Script(
                "large", kind,
                [.append(50), .append(5 * window), .append(2 * window), .sync, .append(20), .sync, .append(6 * window), .die, .append(3), .sync]),
            // Within a segment, over a boundary, ending on one, and beside records that are no batch.
            Script(
                "batches", kind,
                [.batch([30, 0, 200]), .sync, .batch([900, 0, window, 100]), .batch([5]), .sync, .append(40), .batch([0, 0]), .die, .batch([700, window, 1]), .batch([]), .sync, .append(1), .batch([10, 10]), .reopen]),
            // More than is mapped at once, of few records and of many, and with records in it that take several segments.
            Script(
                "large batch", kind,
                [.append(50), .batch([100, 6 * window, 0, 10]), .sync, .batch(Array(repeating: window / 8, count: 44)), .batch([3, 3]), .sync, .batch([window - 8, 5 * window, window]), .die, .append(3), .sync]),
            // Both ends meet batches: what is cut, kept or held is whole.
            Script(
                "ends of batches", kind,
                [.batch([most, 300, most]), .batch([200, most]), .sync, .pin("app", 500), .truncateBefore(900), .batch([window, window, 20]), .sync, .truncateAfter(900), .unpin("app"), .truncateBefore(1000), .append(9), .batch([60, 2 * window]), .truncateAfter(300), .batch([1, 1]), .sync, .die]),
            Script("unsynced", kind, [.append(900), .append(window), .append(700), .append(window), .die, .append(50), .sync, .reopen]),
            Script(
                "prefix", kind,
                [.append(most), .append(most), .append(most), .append(200), .sync, .truncateBefore(500), .append(most), .sync, .truncateBefore(1000), .append(1), .reopen, .append(2), .sync]),
            Script(
                "pins", kind,
                [.append(most), .append(most), .sync, .pin("app", 300), .append(most), .sync, .truncateBefore(1000), .pin("app", 900), .truncateBefore(1000), .unpin("app"), .truncateBefore(1000), .reopen]),
            Script(
                "shipping", kind,
                [.append(most), .append(most), .sync, .takeSlot, .moveSlot(400), .sidecarTruncate(1000), .append(most), .sync, .moveSlot(800), .settleSlot, .sidecarTruncate(1000), .moveSlot(1000), .releaseSlot, .append(10), .sync]),
            Script(
                "promotion", kind,
                [.append(most), .append(700), .sync, .append(80), .sync, .reopen, .promoteCopy, .append(most), .sync, .die, .append(1), .sync, .promoteCopy, .append(2), .sync]),
            // The end goes back within a segment, over several, over what was never synced, and onto a boundary.
            Script(
                "end", kind,
                [.append(most), .append(300), .sync, .append(most), .append(200), .truncateAfter(300), .append(700), .sync, .die, .append(2 * window), .truncateAfter(0), .append(4), .reopen]),
            Script(
                "end on a boundary", kind,
                [.append(window - 8), .append(window - 8), .append(9), .sync, .truncateAfter(0), .append(window - 8), .truncateAfter(999), .die, .append(1), .sync]),
            Script(
                "both ends", kind,
                [.append(most), .append(most), .append(600), .append(most), .sync, .truncateBefore(500), .pin("app", 600), .truncateAfter(0), .unpin("app"), .truncateAfter(500), .append(most), .sync, .truncateBefore(1000), .append(7), .truncateAfter(0), .reopen]),
            Script(
                "end and promotion", kind,
                [.append(most), .append(700), .sync, .append(80), .truncateAfter(500), .promoteCopy, .append(most), .sync, .truncateAfter(500), .append(30), .promoteCopy, .append(2), .sync, .truncateAfter(999)]),
        ]
    }

    /// One that follows from its seed.
    static func seeded(_ seed: UInt64, steps: Int = 24) -> Script {
        var random = SeededGenerator(seed: seed)
        let kind: Kind = seed % 5 == 4 ? .file : seed % 2 == 0 ? .segments(4096) : .segments(8192)
        let window = Script("", kind, []).window
        let steps = (0..<steps).map { _ -> Step in
            let place = Int.random(in: 0...1000, using: &random)
            switch Int.random(in: 0..<39, using: &random) {
            case 0..<9: return .append(Int.random(in: 0...700, using: &random))
            case 9: return .append(window - 8)
            case 10, 11: return .append(Int.random(in: 0...2 * window, using: &random))
            case 12: return .append(Int.random(in: 4 * window...6 * window, using: &random))
            case 13..<19: return .sync
            case 19: return .pass(Int.random(in: 1...30, using: &random))
            case 20: return .idle
            case 21: return .truncateBefore(place)
            case 22: return .pin(place % 2 == 0 ? "app" : "other", place)
            case 23: return .unpin(place % 2 == 0 ? "app" : "other")
            case 24: return .takeSlot
            case 25: return .moveSlot(place)
            case 26: return place % 2 == 0 ? .settleSlot : .releaseSlot
            case 27: return .sidecarTruncate(place)
            case 28, 29: return .reopen
            case 30: return .die
            case 31..<34: return .truncateAfter(place)
            case 34..<37: return .batch((0..<Int.random(in: 0...6, using: &random)).map { _ in Int.random(in: 0...900, using: &random) })
            case 37: return .batch((0..<Int.random(in: 2...5, using: &random)).map { _ in Int.random(in: 0...2 * window, using: &random) })
            default: return place % 3 == 0 ? .promoteCopy : .die
            }
        }
        return Script("seed \(seed)", kind, steps)
    }
}
