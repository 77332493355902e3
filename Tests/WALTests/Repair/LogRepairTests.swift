import Testing
import TestSupport
@testable import WAL

/// Every kind of damage, the repair of it, and that nothing else is changed.
@Suite struct LogRepairTests {
    /// Frames cross every boundary but that between segments 2 and 3.
    private func damaged(_ damage: (LogFixture, [LSN]) throws -> Void) throws -> (fixture: LogFixture, good: [String: [UInt8]], lsns: [LSN]) {
        let fixture = LogFixture()
        let log = try fixture.open()
        var lsns = try (0..<58).map { try log.append(sampleRecord($0, count: 200)) }
        lsns.append(try log.append(sampleRecord(58, count: 3 * 4096 - 58 * 208 - 8)))
        for number in 59..<100 { lsns.append(try log.append(sampleRecord(number, count: 200))) }
        try log.sync()
        try log.truncateBefore(lsns[3])
        try log.close()
        let good = try fixture.contents()
        try damage(fixture, lsns)
        return (fixture, good, lsns)
    }

    private func name(_ index: UInt64) -> String { SegmentName(index: index).fileName }
    /// Where the log ends, in segment 5.
    private let end = 3 * 4096 + 41 * 208
    /// The log's own bytes in a segment.
    private func raw(_ good: [String: [UInt8]], _ index: UInt64) throws -> [UInt8] {
        Array(try #require(good[name(index)])[..<min(4096, end - Int(index) * 4096)])
    }
    private func open(_ fixture: LogFixture) throws(WALError) -> LogRepair {
        try LogRepair.open(directory: "/log", fileSystem: fixture.machine, time: SimulatedTimeSource())
    }

    private func check(_ fixture: LogFixture, _ good: [String: [UInt8]], _ lsns: [LSN], replaced: Set<String>, _ what: Comment) throws {
        // Commit times are advisory and not synced: a machine that lost power may not have them.
        func isKept(_ file: String) -> Bool { !file.hasSuffix(".times") }
        let now = try fixture.contents()
        for (file, bytes) in good where file != "control" && isKept(file) && !replaced.contains(file) { #expect(now[file] == bytes, "\(what): \(file)") }
        #expect(Set(now.keys.filter(isKept)) == Set(good.keys.filter(isKept)), what)
        for machine in [fixture.machine, fixture.machine.crash(choosing: DropEverything())] {
            let log = try LogFixture(machine).open(.init(verify: .full))
            #expect(try log.records().map(\.lsn) == Array(lsns[3...]), what)
            #expect(try log.records().suffix(97).map(\.data.count).allSatisfy { $0 > 0 })
            // Stray bytes behind the log's end stay for recovery to drop.
            #expect(log.recoveryReport.bytesDiscarded == 0 || replaced == [name(5)], what)
            try log.close()
        }
    }

    @Test func everySegmentIsReplacedAfterEveryKindOfDamage() throws {
        for index in 0..<6 as Range<UInt64> {
            let kinds: [(String, SegmentDamage.Kind?, (LogFixture) throws -> Void)] = [
                ("missing", .missing, { try $0.machine.unlink($0.segment(index)) }),
                ("a flipped bit", .frames, { try $0.machine.damage($0.segment(index), at: 2000, xor: 4) }),
                ("bits at both ends", .frames, { fixture in for at in [700, 4090] { try fixture.machine.damage(fixture.segment(index), at: at, xor: 1) } }),
                ("another segment", .file, { try $0.write(try $0.machine.contents($0.segment((index + 1) % 5)), $0.segment(index), at: 0) }),
                ("short", .file, { fixture in
                    let file = try fixture.machine.open(fixture.segment(index), .readWrite)
                    defer { file.close() }
                    try file.truncate(to: 1500)
                }),
            ]
            for (what, kind, damage) in kinds {
                // The last segment ends where the log does, before some of these.
                if index == 5 && kind == .frames { continue }
                let (fixture, good, lsns) = try damaged { fixture, _ in try damage(fixture) }
                #expect("\(what) \(index)") { try fixture.open(.init(verify: .full)) } throws: { _ in true }
                let repair = try open(fixture)
                let found = try repair.damage()
                #expect(found.contains { $0.index == index && (kind == nil || $0.kind == kind) }, "\(what) \(index): \(found)")
                let report = try repair.replaceSegment(index, bytes: try raw(good, index))
                #expect(report.segments.map(\.index) == [index] && report.segments[0].wasMissing == (kind == .missing))
                // Of the last segment a short file still holds all of the log.
                #expect(report.segments[0].bytesChanged > 0 || index == 5)
                #expect(try repair.damage().isEmpty, "\(what) \(index)")
                repair.close()
                try check(fixture, good, lsns, replaced: [name(index)], "\(what) \(index)")
            }
        }
    }

    @Test func aDamagedFootIsMadeAnewOverIntactBytes() throws {
        for index in 0..<6 as Range<UInt64> {
            let (fixture, good, lsns) = try damaged { fixture, _ in try fixture.machine.damage(fixture.segment(index), at: 4096 + 10, xor: 1) }
            #expect(throws: WALError.self) { try fixture.open(.init(verify: .full)) }
            let repair = try open(fixture)
            #expect(try repair.damage().map(\.kind) == [.file])
            let report = try repair.repairFoot(index)
            #expect(report.segments.map(\.bytesChanged) == [0] && report.segments[0].given.isEmpty)
            #expect(try repair.damage().isEmpty)
            repair.close()
            #expect(try raw(try fixture.contents(), index) == raw(good, index))
            let first = try SegmentFoot.decode(Array(try fixture.machine.contents(fixture.segment(index))[4096...])).firstFrame.get()
            #expect(first?.lsn == lsns.first { $0 >= max(lsns[3], LSN(index * 4096)) })
            try check(fixture, good, lsns, replaced: [name(index)], "foot \(index)")
        }
        // Not where the bytes are damaged, too.
        let (fixture, _, _) = try damaged { fixture, _ in for at in [2000, 4106] { try fixture.machine.damage(fixture.segment(2), at: at, xor: 1) } }
        let repair = try open(fixture)
        let before = try fixture.contents()
        #expect { try repair.repairFoot(2) } throws: { ($0 as? WALError)?.isCorruption ?? false }
        #expect(try fixture.contents() == before)
        repair.close()
    }

    @Test func neighboursAreVerifiedTogether() throws {
        let (fixture, good, lsns) = try damaged { fixture, _ in
            try fixture.machine.unlink(fixture.segment(1))
            try fixture.machine.damage(fixture.segment(2), at: 3, xor: 1)
            try fixture.machine.unlink(fixture.segment(4))
        }
        let repair = try open(fixture)
        let before = try fixture.contents()
        // The frame that crosses from 1 to 2 needs both.
        #expect { try repair.replaceSegment(1, bytes: try raw(good, 1)) } throws: { ($0 as? WALError)?.isCorruption ?? false }
        #expect(try fixture.contents() == before)
        try repair.replaceSegments([(4, try raw(good, 4), nil), (2, try raw(good, 2), nil), (1, try raw(good, 1), nil)])
        #expect(try repair.damage().isEmpty)
        repair.close()
        try check(fixture, good, lsns, replaced: [name(1), name(2), name(4)], "three of six")
    }

    @Test func whatDoesNotVerifyOrIsOfAnotherHistoryIsRefused() throws {
        let (fixture, good, lsns) = try damaged { fixture, lsns in try fixture.machine.damage(fixture.segment(1), at: 2000, xor: 1) }
        let repair = try open(fixture)
        let before = try fixture.contents()
        let bytes = try raw(good, 1)
        for at in stride(from: 0, to: 4096, by: 251) {
            var wrong = bytes
            wrong[at] ^= 0x10
            #expect("byte \(at)") { try repair.replaceSegment(1, bytes: wrong) } throws: { ($0 as? WALError)?.isCorruption ?? false }
        }
        // Frames that verify, in the place of intact ones that say something else.
        let epoch = try #require(try LogReader.open(directory: "/log", fileSystem: fixture.machine, time: SimulatedTimeSource()).epochs.epochs.first)
        let checksum = FrameChecksum(logID: repair.logID, epoch: epoch.id)
        var other = bytes
        let victim = try #require(lsns.first { $0.rawValue >= 4096 + 300 })
        let payload = [UInt8](repeating: 9, count: 200)
        var header = FrameHeader(checksum: 0, lengthField: 200)
        header.checksum = payload.withUnsafeBytes { checksum.value(lengthField: 200, payload: $0, lsn: victim) }
        other.replaceSubrange(Int(victim.rawValue - 4096)..<Int(victim.rawValue - 4096) + 208, with: header.bytes + payload)
        #expect { try repair.replaceSegment(1, bytes: other) } throws: { "\($0)".contains("another history") }
        // Of other places, too short, above the floor, below the head.
        #expect(throws: WALError.self) { try repair.replaceSegment(1, bytes: try raw(good, 2)) }
        #expect(throws: WALError.self) { try repair.replaceSegment(1, bytes: Array(bytes[..<4000])) }
        #expect(throws: WALError.self) { try repair.replaceSegment(1, bytes: bytes + [0]) }
        #expect(throws: WALError.self) { try repair.replaceSegment(9, bytes: bytes) }
        #expect(throws: WALError.self) { try repair.replaceSegment(.max, bytes: bytes) }
        #expect(try fixture.contents() == before)
        // Beside a repair nobody writes or repairs.
        #expect { try fixture.open() } throws: { ($0 as? WALError)?.isLocked ?? false }
        #expect { try open(fixture) } throws: { ($0 as? WALError)?.isLocked ?? false }
        try repair.replaceSegment(1, bytes: bytes)
        repair.close()
        try check(fixture, good, lsns, replaced: [name(1)], "after refusals")
    }

    @Test func commitTimesAndFactsAreMended() throws {
        let (fixture, good, lsns) = try damaged { fixture, _ in try fixture.machine.damage("/log/control", at: 4096 + 40, xor: 1) }
        let path = "/log/" + SegmentName(index: 1).timesName
        try fixture.machine.unlink(path)
        let repair = try open(fixture)
        #expect(repair.areFactsDamaged)
        try repair.mendFacts()
        #expect(!repair.areFactsDamaged)
        try repair.replaceTimes(ofSegment: 1, [.init(nanoseconds: 7, lsn: LSN(5000)), .init(nanoseconds: 9, lsn: LSN(90_000)), .init(nanoseconds: 5, lsn: LSN(4200))])
        let decoded = try TimeIndexDecoder.decode(try fixture.machine.contents(path), expecting: repair.logID, index: 1)
        #expect(decoded.entries == [TimeEntry(nanoseconds: 5, lsn: LSN(4200)), TimeEntry(nanoseconds: 7, lsn: LSN(5000))])
        repair.close()
        try fixture.machine.unlink(path)
        try check(fixture, good.filter { $0.key != SegmentName(index: 1).timesName }, lsns, replaced: [], "facts")
    }

    /// Cut off after every file operation, whatever of it came to the disk: each segment is the old one or the new one, and the next repair ends as an undisturbed one.
    @Test func aRepairThatIsCutOffAnywhereIsRepeated() throws {
        func damage(_ fixture: LogFixture) throws {
            try fixture.machine.damage(fixture.segment(1), at: 2000, xor: 1)
            try fixture.machine.unlink(fixture.segment(2))
            try fixture.machine.damage(fixture.segment(4), at: 4106, xor: 1)
        }
        func mend(_ fixture: LogFixture, _ good: [String: [UInt8]]) throws {
            let repair = try open(fixture)
            defer { repair.close() }
            let indices = Set(try repair.damage().map(\.index))
            let given = try [1, 2].filter(indices.contains).map { (index: UInt64($0), bytes: try raw(good, UInt64($0)), start: LSN?.none) }
            if !given.isEmpty { try repair.replaceSegments(given) }
            if indices.contains(4) { try repair.repairFoot(4) }
        }
        let (fixture, good, lsns) = try damaged { fixture, _ in try damage(fixture) }
        // Before each operation: after the one before it.
        let cuts = Recorder<SimulatedFileSystem>()
        fixture.machine.observe { [machine = fixture.machine] call, _ in
            guard call.changesTheDisk else { return }
            cuts.append(machine.crash(choosing: DropEverything()))
            cuts.append(machine.crash(choosing: KeepEverything()))
            cuts.append(machine.kill())
        }
        try mend(fixture, good)
        fixture.machine.observe(nil)
        try check(fixture, good, lsns, replaced: [name(1), name(2), name(4)], "undisturbed")
        #expect(cuts.values.count > 60)
        var seen: Set<Int> = []
        for (number, machine) in cuts.values.enumerated() where seen.insert(machine.fingerprint()).inserted {
            let after = LogFixture(machine)
            let now = try after.contents()
            let isOld = (now[name(1)]?[2000] != good[name(1)]?[2000], now[name(2)] == nil)
            for (index, isOld) in [(1, isOld.0), (2, isOld.1)] as [(UInt64, Bool)] where !isOld {
                #expect(now[name(index)].map { Array($0[..<4096]) } == Array(good[name(index)]![..<4096]), "cut \(number), segment \(index)")
            }
            try mend(after, good)
            try check(after, good, lsns, replaced: [name(1), name(2), name(4)], "cut \(number)")
        }
    }
}
