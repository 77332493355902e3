public import Archive
public import WAL

/// Mends a local log from its archive: damaged and missing segments get the bytes that were archived, each frame verified before anything is replaced.
///
/// Holds the log's writer lock from `open` to `close`. Not for two tasks at once.
public final class LogMending: Sendable {
    /// What is going to be done about one segment.
    public struct Step: Hashable, Sendable {
        public let index: UInt64
        /// Of the segment, what is needed.
        public let range: Range<LSN>
        /// The objects that hold it; empty where only the foot is made anew, over bytes that are intact.
        public let objects: [ObjectKey]
        /// Why nothing can be done.
        public let obstacle: String?
    }

    private let held: Held
    private let reader: ArchiveReader
    /// What cannot be read.
    public let damages: [SegmentDamage]
    /// One of the two copies of the log's facts is damaged.
    public let areFactsDamaged: Bool

    /// Each use is awaited before the next begins, hence unchecked.
    private final class Held: @unchecked Sendable {
        let repair: LogRepair
        init(_ repair: LogRepair) { self.repair = repair }
    }

    private init(_ held: Held, _ reader: ArchiveReader, _ damages: [SegmentDamage]) {
        self.held = held
        self.reader = reader
        self.damages = damages
        areFactsDamaged = held.repair.areFactsDamaged
    }

    /// Takes the log in `directory` and looks for damage; changes nothing. Throws what `LogRepair.open` throws (`.locked` while somebody writes it), and
    /// `ArchiveError.diverged` for the archive of another log.
    public static func open(directory: String, archive reader: ArchiveReader) async throws -> LogMending {
        let held = try await OffPool.run { () throws(WALError) in Held(try LogRepair.open(directory: directory)) }
        do {
            guard held.repair.logID == reader.log.logID, UInt64(held.repair.segmentSize) == reader.log.segmentSize else {
                throw ArchiveError(
                    .diverged, "this is the archive of log \(reader.log.logID), the log is \(held.repair.logID)", key: reader.layout.logDocument,
                    hint: "name the archive of this log; nothing was changed")
            }
            let damages = try await OffPool.run { () throws(WALError) in try held.repair.damage() }
            return LogMending(held, reader, damages)
        } catch {
            held.repair.close()
            throw error
        }
    }

    /// Lets go of the log. Nothing else is called afterwards.
    public func close() { held.repair.close() }

    /// Bytes of neighbouring segments that are mended together at most (or one segment): they are in memory, thrice, because frames that go on from one to the next are
    /// verified before any is replaced. A log that lacks more is restored sooner than mended.
    static let runBytesMax: UInt64 = 1 << 30

    /// The segments that damage lies in, as runs of neighbours. The last one that is missing stands for all behind it.
    private var runs: [Range<UInt64>] {
        let size = UInt64(held.repair.segmentSize)
        let touched = damages.map { damage in damage.index..<max(damage.index, (damage.range.upperBound.rawValue - 1) / size) + 1 }
        var runs: [Range<UInt64>] = []
        for part in touched.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = runs.last, last.upperBound >= part.lowerBound {
                runs[runs.count - 1] = last.lowerBound..<max(last.upperBound, part.upperBound)
            } else {
                runs.append(part)
            }
        }
        return runs
    }

    /// Whether the segment's bytes are all there, and only its foot is not.
    private func hasBytes(_ index: UInt64) -> Bool {
        let own = damages.filter { $0.index == index }
        return !own.isEmpty && own.allSatisfy { $0.kind == .file }
    }

    /// What would be done, by the objects' metadata. Reads only. Throws what the store throws when patience ends.
    public func plan() async throws(ArchiveError) -> [Step] { try await plan(together: LogMending.runBytesMax) }

    func plan(together bytesMax: UInt64) async throws(ArchiveError) -> [Step] {
        var steps: [Step] = []
        for run in runs {
            let (first, last) = (held.repair.neededRange(ofSegment: run.lowerBound), held.repair.neededRange(ofSegment: run.upperBound - 1))
            guard let first, let last else { continue }
            let size = UInt64(held.repair.segmentSize)
            if run.count > 1, UInt64(run.count) > bytesMax / size {
                let obstacle = "\(run.count) neighbouring segments are more than can be mended together; restore the log from its archive instead"
                steps.append(Step(index: run.lowerBound, range: first.lowerBound..<last.upperBound, objects: [], obstacle: obstacle))
                continue
            }
            for index in run {
                if let range = held.repair.neededRange(ofSegment: index) { steps.append(try await step(index, range)) }
            }
        }
        return steps
    }

    private func step(_ index: UInt64, _ range: Range<LSN>) async throws(ArchiveError) -> Step {
        if hasBytes(index) { return Step(index: index, range: range, objects: [], obstacle: nil) }
        do throws(ArchiveError) {
            let (keys, reached) = try await read(range, depth: .metadata) { _ in }
            let obstacle = reached < range.upperBound ? "the archive ends at LSN \(reached)" : nil
            return Step(index: index, range: range, objects: keys, obstacle: obstacle)
        } catch where AuditChain.isFault(error) || [.notFound, .gap, .endUnproven].contains(error.code) {
            return Step(index: index, range: range, objects: [], obstacle: error.description)
        }
    }

    /// Replaces what `steps` say and have no obstacle for, neighbours together. On return it is durable. Throws `.corruption` where the archived bytes do not verify in
    /// their place or are of another history, and what the archive throws; runs of segments before that one are mended then.
    public func run(_ steps: [Step]) async throws -> [RepairReport.Segment] {
        let held = held
        var report: [RepairReport.Segment] = []
        for step in steps where step.obstacle == nil && step.objects.isEmpty {
            report += try await OffPool.run { () throws(WALError) in try held.repair.repairFoot(step.index) }.segments
        }
        var given: [(index: UInt64, bytes: [UInt8], start: LSN?)] = []
        var times: [VerifiedRange.CommitTime] = []
        let taken = steps.filter { $0.obstacle == nil && !$0.objects.isEmpty }
        for (number, step) in taken.enumerated() {
            var bytes: [UInt8] = []
            _ = try await read(step.range, depth: .whole) { piece in
                let part = piece.range.clamped(to: step.range)
                let offset = piece.range.lowerBound
                bytes += piece.bytes[Int(part.lowerBound.distance(from: offset))..<Int(part.upperBound.distance(from: offset))]
                times += piece.metadata.timeIndex.map { VerifiedRange.CommitTime(nanoseconds: $0.time, lsn: $0.lsn) }
            }
            given.append((step.index, bytes, step.range.lowerBound))
            if number + 1 < taken.count, taken[number + 1].index == step.index + 1 { continue }
            let run = Given(given, times)
            (given, times) = ([], [])
            report += try await OffPool.run { () throws(WALError) in
                let done = try held.repair.replaceSegments(run.segments)
                for segment in run.segments { try held.repair.replaceTimes(ofSegment: segment.index, run.times) }
                return done
            }.segments
        }
        if areFactsDamaged { try await OffPool.run { () throws(WALError) in try held.repair.mendFacts() } }
        return report
    }

    private struct Given: Sendable {
        let segments: [(index: UInt64, bytes: [UInt8], start: LSN?)]
        let times: [VerifiedRange.CommitTime]

        init(_ segments: [(index: UInt64, bytes: [UInt8], start: LSN?)], _ times: [VerifiedRange.CommitTime]) {
            self.segments = segments
            self.times = times
        }
    }

    /// Hands out the pieces of a range; returns their keys and up to where they go.
    private func read(
        _ range: Range<LSN>, depth: ArchiveWalk.Depth, _ take: (ArchivePiece) -> Void
    ) async throws(ArchiveError) -> (keys: [ObjectKey], reached: LSN) {
        var walk = try reader.walk(from: range.lowerBound, depth: depth)
        var keys: [ObjectKey] = []
        while walk.position < range.upperBound, let piece = try await walk.next() {
            guard piece.range.overlaps(range) else { continue }
            keys.append(piece.key)
            take(piece)
        }
        return (keys, walk.position)
    }
}
