import Glibc
import Synchronization
import TestSupport
@testable import WAL

/// Carries out a script on a machine, and says at every moment what is promised.
///
/// The steps come from one thread; `promise` may be read from any.
final class ScriptRun: Sendable {
    let script: Script
    let promise = Mutex(Promise())
    private let machine: any FileSystem
    private let time = SimulatedTimeSource()
    /// Called before and after each step: nothing of it is under way.
    private let betweenSteps: @Sendable (String) -> Void
    private let bug: PlantedBug.Bug?

    init(
        _ script: Script, on machine: any FileSystem, bug: PlantedBug.Bug? = nil, betweenSteps: @escaping @Sendable (String) -> Void
    ) {
        self.script = script
        self.bug = bug
        self.machine = machine
        self.betweenSteps = betweenSteps
    }

    /// What the steps share. One thread.
    private final class Hands {
        var opened: (log: AnyLog, store: ScriptedStore)?
        var sidecar: LogSidecar?
        var slot: DestinationSlot?
        private var number = 0

        func record(_ count: Int) -> [UInt8] {
            number += 1
            return sampleRecord(number, count: count)
        }

        var log: AnyLog {
            guard let opened else { preconditionFailure("no log is open") }
            return opened.log
        }
    }

    func run() throws {
        let hands = Hands()
        try open(hands)
        for (index, step) in script.steps.enumerated() {
            betweenSteps("before step \(index), \(step)")
            try perform(step, hands)
            promise.withLock { $0.acknowledged = max($0.acknowledged, hands.log.durableLSN) }
        }
        betweenSteps("at the end")
        try releaseSlot(hands)
        try hands.log.close()
        betweenSteps("after closing")
    }

    /// The next process opens the log; the one before is gone by then.
    private func open(_ hands: Hands) throws {
        hands.opened = nil
        let store = ScriptedStore.make(script.kind, promise.withLock(\.place), machine, time)
        let log = try AnyLog(store: AnyStore(store), configuration: .deterministic)
        promise.withLock { promise in
            promise.logID = log.logID
            promise.acknowledged = log.endLSN
            promise.mayBeReplica = false
        }
        try check(log.endLSN == promise.withLock(\.returned), "opened at \(log.endLSN), \(promise.withLock(\.returned)) was written")
        hands.opened = (log, store)
    }

    private func perform(_ step: Script.Step, _ hands: Hands) throws {
        switch step {
        case .append(let count):
            let data = hands.record(count)
            let expected = promise.withLock { $0.issue(data) }
            let lsn = try hands.log.append(data)
            try check(lsn == expected, "appended at \(lsn), not at \(expected)")
            promise.withLock { $0.returned = $0.end }
        case .batch(let counts): try append(batch: counts.map { hands.record($0) }, hands.log)
        case .sync:
            let durable = try hands.log.sync()
            promise.withLock { $0.acknowledged = durable }
        case .pass(let milliseconds): time.advance(nanoseconds: UInt64(milliseconds) * 1_000_000)
        case .idle: try hands.opened?.store.noteIdle()
        case .truncateBefore(let place):
            let target = try ask(place, hands)
            try noteHead(target, try hands.log.truncateBefore(target))
        case .sidecarTruncate(let place):
            let target = try ask(place, hands)
            let sidecar = try LogSidecar.attach(directory: promise.withLock(\.place), fileSystem: machine, time: time)
            defer { sidecar.detach() }
            try noteHead(target, try sidecar.truncateBefore(target))
        case .truncateAfter(let place): try truncateAfter(place, hands)
        case .pin(let name, let place):
            let target = target(place, hands)
            promise.withLock { $0.allow(target, for: name) }
            try hands.log.pin(name, at: target)
            promise.withLock { $0.slots[name] = [target] }
        case .unpin(let name):
            promise.withLock { $0.allow(nil, for: name) }
            try hands.log.unpin(name)
            promise.withLock { promise in promise.slots[name] = nil }
        case .takeSlot: try takeSlot(hands)
        case .moveSlot(let place):
            guard let slot = hands.slot else { return }
            // A consumer does not go back.
            let target = max(target(place, hands), slot.state.position)
            promise.withLock { $0.allow(target, for: "ship") }
            try slot.update { state in
                state.position = target
                state.released = target
            }
            promise.withLock { $0.slots["ship"] = [target] }
        case .settleSlot: try hands.slot?.settle()
        case .releaseSlot: try releaseSlot(hands)
        case .reopen:
            try releaseSlot(hands)
            try hands.log.close()
            promise.withLock { $0.acknowledged = $0.end }
            try open(hands)
        case .die:
            try releaseSlot(hands)
            try open(hands)
        case .promoteCopy: try promoteCopy(hands)
        }
    }

    private func append(batch: [[UInt8]], _ log: AnyLog) throws {
        let expected = promise.withLock { $0.issue(batch: batch) }
        let lsns: [LSN]
        if bug == .batchesInPieces {
            lsns = try batch.map { try log.append($0) }
        } else {
            var records = RecordBatch()
            for data in batch { records.append(data) }
            lsns = try log.append(batch: records)
        }
        try check(lsns == expected, "appended a batch at \(lsns), not at \(expected)")
        promise.withLock { $0.returned = $0.end }
    }

    private func check(_ condition: Bool, _ what: String) throws { if !condition { throw ScriptError(what) } }

    // MARK: Truncation and slots

    /// The record at so many thousandths of those that are durable; their end for 1000.
    private func target(_ place: Int, _ hands: Hands) -> LSN {
        let (head, durable) = (hands.log.headLSN, hands.log.durableLSN)
        let records = promise.withLock { $0.history.filter { $0.lsn >= head && $0.end <= durable } }
        let index = place * records.count / 1000
        return index < records.count ? records[index].lsn : durable
    }

    private func ask(_ place: Int, _ hands: Hands) throws -> LSN {
        let target = target(place, hands)
        promise.withLock { $0.head = $0.head.lowerBound...max($0.head.lowerBound, target) }
        return target
    }

    /// Ends the log after the record at so many thousandths of those that are there. A reader beside the log, or a slot, may keep it from that.
    private func truncateAfter(_ place: Int, _ hands: Hands) throws {
        let log = hands.log
        let records = promise.withLock { $0.history.filter { $0.lsn >= log.headLSN } }
        guard let kept = records.prefix(place * records.count / 1000 + 1).last(where: { !$0.continues }) else { return }
        let epoch = log.epochs.current.number + 1
        promise.withLock { $0.cut = Promise.Cut(end: kept.end, epoch: epoch) }
        let end = log.endLSN
        guard try cut(log, after: kept.lsn) else {
            let mayBeHeld = hands.sidecar != nil || promise.withLock { !$0.slots.isEmpty }
            try check(mayBeHeld && log.endLSN == end && log.epochs.current.number == epoch - 1, "truncating after \(kept.lsn) was refused")
            promise.withLock { $0.cut = nil }
            return
        }
        try check(log.endLSN == kept.end && log.epochs.current.number == epoch, "truncated after \(kept.lsn), the log ends at \(log.endLSN)")
        promise.withLock { $0.takeCut() }
    }

    /// False where it was refused.
    private func cut(_ log: AnyLog, after lsn: LSN) throws(WALError) -> Bool {
        do throws(WALError) {
            try log.truncateAfter(lsn)
            return true
        } catch {
            guard error.isLocked else { throw error }
            return false
        }
    }

    private func noteHead(_ target: LSN, _ head: LSN) throws {
        try promise.withLock { promise in
            try check(promise.head.contains(head), "truncated to \(head), asked for \(target)")
            for (name, positions) in promise.slots {
                for case let position? in positions { try check(head <= position, "truncated to \(head), past \(name) at \(position)") }
            }
            promise.head = head...head
        }
    }

    private func takeSlot(_ hands: Hands) throws {
        guard hands.slot == nil else { return }
        let sidecar = try LogSidecar.attach(directory: promise.withLock(\.place), fileSystem: machine, time: time)
        hands.sidecar = sidecar
        let head = hands.log.headLSN
        let state = SlotState(kind: .destination, logID: sidecar.reader.logID, position: head, epoch: hands.log.epochs.epoch(at: head).id)
        promise.withLock { promise in if promise.slots["ship"] == nil { promise.slots["ship"] = [nil, head] } }
        let slot = try sidecar.takeSlot("ship") { () throws(WALError) in state }
        promise.withLock { $0.slots["ship"] = [slot.state.position] }
        hands.slot = slot
    }

    private func releaseSlot(_ hands: Hands) throws {
        hands.slot?.close()
        hands.slot = nil
        hands.sidecar?.detach()
        hands.sidecar = nil
    }

    // MARK: Promotion

    private func promoteCopy(_ hands: Hands) throws {
        try releaseSlot(hands)
        let epoch = hands.log.epochs.current.number + 1
        try hands.log.close()
        promise.withLock { $0.acknowledged = $0.end }
        let old = promise.withLock(\.place)
        let new = "\(old)-copy"
        try copy(old, to: new)
        promise.withLock { promise in
            promise.place = new
            promise.mayBeReplica = true
            // The copy has no consumers.
            promise.slots = [:]
        }
        try promote(new, LogPromotion.ClaimedEpoch(number: epoch, id: EpochID(rawValue: 1000 + epoch)), machine, time)
        try open(hands)
    }

    /// As a careful operator copies: everything is on the disk before the copy is used.
    private func copy(_ old: String, to new: String) throws {
        try machine.makeDirectory(new)
        for name in try machine.list(old).sorted() where try machine.status("\(old)/\(name)")?.kind == .regular {
            let file = try machine.open("\(new)/\(name)", .createNew)
            defer { file.close() }
            try file.write(try machine.contents("\(old)/\(name)"), at: 0)
            try file.sync()
        }
        try machine.syncDirectory(new)
        try machine.syncDirectory("/")
    }
}

/// Promotes the replica in `directory`; one that is none is left as it is.
func promote(_ directory: String, _ epoch: LogPromotion.ClaimedEpoch, _ machine: any FileSystem, _ time: any TimeSource) throws {
    let promotion = try LogPromotion.begin(directory: directory, fileSystem: machine, time: time)
    defer { promotion.close() }
    if promotion.candidate.isReplica { _ = try promotion.finish([epoch]) }
}

struct ScriptError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A store that makes its lazy notes durable when the script says so, not when the machine that runs the test has a moment: the order of calls then
/// follows from the script.
final class ScriptedStore: FileBackedStore, @unchecked Sendable {
    // Unchecked because a subclass must say so again; its one property is constant.
    private let thread = pthread_self()

    static func make(_ kind: Script.Kind, _ place: String, _ machine: any FileSystem, _ time: any TimeSource) -> ScriptedStore {
        switch kind {
        case .segments(let size):
            ScriptedStore(paths: LogPaths(directory: place), kind: .directory(segmentSize: size), fileSystem: machine, time: time)
        case .file: ScriptedStore(paths: LogPaths(file: place), kind: .singleFile, fileSystem: machine, time: time)
        }
    }

    override func noteIdle() throws(WALError) {
        if pthread_equal(pthread_self(), thread) != 0 { try super.noteIdle() }
    }
}
