import Testing
import TestSupport
@testable import WAL

/// Each named case of opening, end to end: what is recovered, and that what is refused stays byte for byte as it was.
@Suite struct RecoveryCaseTests {
    @Test func aPathWithAZeroByteIsNoOtherPath() throws {
        try withTemporaryDirectory { directory in
            #expect("a directory") { _ = try SegmentedLog.open(directory: directory + "/a\0b") } throws: { ($0 as? WALError)?.isNotALog == true }
            #expect("a file") { _ = try FileLog.open(path: directory + "/a\0b") } throws: { ($0 as? WALError)?.isNotALog == true }
            let found = try LinuxFileSystem().list(directory)
            #expect(found == [])
        }
    }

    @Test func reopeningAfterACleanCloseCopiesAndWritesNothing() throws {
        let fixture = LogFixture()
        try fixture.fill()
        try fixture.open().close()
        let before = try fixture.contents().filter { $0.key != "control" }
        fixture.machine.resetCounters()
        let log = try fixture.open()
        #expect(log.recoveryReport.bytesDiscarded == 0 && log.recoveryReport.bytesRecovered == 0)
        try log.close()
        // The control file's page cache is flushed once: a process that was killed may have left facts there.
        #expect(fixture.machine.counters[.rename] == 0 && fixture.machine.counters[.sync] == 1)
        #expect(try fixture.contents().filter { $0.key != "control" } == before)
    }

    @Test func aReaderBesideOneWhoWritesTheFactsAlwaysFindsThem() async throws {
        try await withTemporaryDirectory { directory async throws in
            let log = try SegmentedLog.open(directory: directory + "/log", segmentSize: 4096)
            let lsns = try (0..<60).map { try log.append(sampleRecord($0, count: 200)) }
            _ = try await log.sync()
            let reader = try LogReader.open(directory: directory + "/log")
            let writing = Task { for lsn in lsns { try log.truncateBefore(lsn) } }
            var seen = LSN.zero
            let last = lsns[lsns.count - 1]
            // Far more readings than the writing takes; without an end of its own, a failed writer would keep the test for ever.
            for _ in 0..<2_000_000 where seen < last {
                let head = try reader.headLSN
                #expect(head >= seen)
                seen = head
                await Task.yield()
            }
            try await writing.value
            #expect(try reader.headLSN == last)
            reader.close()
            try log.close()
        }
    }

    @Test func theLossOfTheLastSegmentOfAClosedLogIsNoticedAfterPowerLoss() throws {
        let fixture = LogFixture()
        let lsns = try fixture.fill()
        let last = try #require(lsns.last).rawValue / LogFixture.segmentSize
        let found = LogFixture(fixture.machine.crash(choosing: DropEverything()))
        try found.machine.unlink(found.segment(last))
        #expect(throws: WALError.self) { try found.open() }
        do throws(WALError) {
            _ = try found.open()
        } catch {
            guard case .corruption(let lsn, _) = error else {
                Issue.record("\(error)")
                return
            }
            #expect(lsn == LSN(last * LogFixture.segmentSize))
        }
    }

    @Test func tornTailIsDiscardedAndReported() throws {
        var fixture = LogFixture()
        let log = try fixture.open()
        let durable = try (0..<30).map { try log.append(sampleRecord($0, count: 200)) }
        try log.sync()
        let tail = try (0..<40).map { try log.append(sampleRecord(100 + $0, count: 200)) }
        fixture.machine = fixture.machine.kill()
        let torn = tail[25]
        try fixture.machine.damage(fixture.segment(torn.rawValue / 4096), at: Int(torn.rawValue % 4096) + 50, xor: 1)
        let again = try fixture.open()
        #expect(again.endLSN == torn)
        #expect(try again.records().map(\.lsn) == durable + tail[..<25])
        let report = again.recoveryReport
        #expect(report.discardReason == .tornTail && report.end == torn && report.floor == tail[0])
        #expect(report.recordsRecovered == 25 && report.bytesRecovered == 25 * 208 && report.bytesDiscarded == 15 * 208)
        // What was recovered is durable now, over all the segments it lies in.
        try again.close()
        let worst = LogFixture(fixture.machine.crash(choosing: DropEverything()))
        let last = try worst.open()
        #expect(last.endLSN == torn && last.recoveryReport.bytesDiscarded == 0)
        try last.close()
        try log.close()
    }

    @Test func recordsRecoveredOverSeveralSegmentsSurviveTheNextPowerFailure() throws {
        let first = LogFixture()
        let log = try first.open()
        let lsns = try (0..<120).map { try log.append(sampleRecord($0, count: 200)) }
        let killed = LogFixture(first.machine.kill())
        let recovered = try killed.open()
        #expect(try recovered.records().map(\.lsn) == lsns)
        let crashed = LogFixture(killed.machine.crash(choosing: DropEverything()))
        let again = try crashed.open(.init(verify: .full))
        #expect(try again.records().map(\.lsn) == lsns)
        try again.close()
        try recovered.close()
        try log.close()
    }

    @Test func cleanLookingPagesOfAFailedFlushAreCopiedOrLostButNeverBelieved() throws {
        for evictsBefore in [true, false] {
            let first = LogFixture()
            let log = try first.open()
            let durable = try log.append([1])
            try log.sync()
            let lost = try (0..<60).map { try log.append(sampleRecord($0, count: 200)) }
            first.machine.inject(.init(.sync, on: "*/*.wal", count: 100, errno: 5))
            #expect(throws: WALError.self) { try log.sync() }
            first.machine.removeFaults()
            let killed = LogFixture(first.machine.kill())
            if evictsBefore { killed.machine.evict() }
            let recovered = try killed.open()
            let end = recovered.endLSN
            #expect(try recovered.records().map(\.lsn).first == durable)
            if !evictsBefore { #expect(try recovered.records().count == 1 + lost.count) }
            try recovered.sync()
            // Whatever recovery and sync said is durable is on the disk.
            killed.machine.evict()
            #expect(try recovered.records().last?.endLSN == end)
            let crashed = LogFixture(killed.machine.crash(choosing: DropEverything()))
            let again = try crashed.open(.init(verify: .full))
            #expect(again.endLSN == end, "evicts before: \(evictsBefore)")
            try again.close()
            try recovered.close()
            #expect(throws: WALError.self) { try log.close() }
        }
    }

    @Test func incompleteBatchIsDiscardedWhole() throws {
        let fixture = LogFixture()
        try fixture.fill(10)
        let log = try fixture.open()
        let end = log.endLSN
        // Two frames of a batch whose third never came.
        var position = end
        var bytes: [UInt8] = []
        for payload in [[UInt8](repeating: 5, count: 30), [6, 7]] {
            var header = FrameHeader(checksum: 0, lengthField: FrameHeader.lengthField(payloadCount: payload.count, continuesBatch: true))
            let checksum = FrameChecksum(logID: log.logID, epoch: log.epochs.current.id)
            header.checksum = payload.withUnsafeBytes { checksum.value(lengthField: header.lengthField, payload: $0, lsn: position) }
            bytes += header.bytes + payload
            position = position.advanced(by: UInt64(payload.count + 8))
        }
        try log.close()
        try fixture.write(bytes, fixture.segment(0), at: end.rawValue)
        let again = try fixture.open()
        #expect(again.endLSN == end)
        #expect(again.recoveryReport.discardReason == .incompleteBatch)
        #expect(again.recoveryReport.bytesDiscarded == UInt64(bytes.count))
        #expect(try again.records().count == 10)
        try again.close()
    }

    @Test func damageBelowTheFloorIsReportedAndNothingIsCut() throws {
        let fixture = LogFixture()
        let lsns = try fixture.fill()
        let before = lsns[30]
        try fixture.machine.damage(fixture.segment(before.rawValue / 4096), at: Int(before.rawValue % 4096) + 100, xor: 0x40)
        try fixture.expectRefusal("verified in full", .init(verify: .full)) { $0.isCorruption(at: before) }
        let log = try fixture.open()
        #expect(log.endLSN == lsns[59].advanced(by: 208))
        let elements = Array(log.iter())
        #expect(elements.count == 31)
        guard case .failure(.corruption(before, _)) = elements[30] else { Issue.record("\(elements[30])"); return }
        try log.close()
        let skipping = try fixture.open(.init(recoveryPolicy: .skipBadRecords))
        #expect(skipping.iter().map { (try? $0.get())?.lsn } == lsns.map { $0 == before ? nil : $0 })
        try skipping.close()
    }

    @Test func oneFlippedBitInTheLastDurableRecordIsNeverATornTail() throws {
        for damagedByte in [0, 3, 4, 7, 8, 150, 207] {
            let first = LogFixture()
            let lsns = try first.fill(25)
            // Power failure after a clean close: nothing but the disk speaks.
            let fixture = LogFixture(first.machine.crash(choosing: DropEverything()))
            let last = lsns[24]
            try fixture.machine.damage(fixture.segment(last.rawValue / 4096), at: Int(last.rawValue % 4096) + damagedByte, xor: 2)
            try fixture.expectRefusal("byte \(damagedByte)", .init(verify: .full)) { $0.isCorruption(at: last) }
            let log = try fixture.open()
            #expect(log.endLSN == last.advanced(by: 208), "byte \(damagedByte)")
            try log.close()
        }
    }

    @Test func whatADestinationHasArchivedIsPartOfTheFloor() throws {
        let first = LogFixture()
        let log = try first.open()
        let lsns = try (0..<40).map { try log.append(sampleRecord($0, count: 200)) }
        let durable = try log.sync()
        let sidecar = try first.attachDestination { $0.archived = durable }
        let fixture = LogFixture(first.machine.crash(choosing: DropEverything()))
        // The feet say nothing, whether or not the log had the time to write them: only the slot speaks.
        try fixture.forgetCells(ofSegments: 0..<3)
        let bad = lsns[39]
        try fixture.machine.damage(fixture.segment(bad.rawValue / 4096), at: Int(bad.rawValue % 4096) + 20, xor: 1)
        try fixture.expectRefusal("archived and damaged") { $0.isCorruption(at: bad) }
        sidecar.detach()
        try log.close()
    }

    /// A destination records what it is about to send, and sends only what is durable: a shipper that starts after a power failure before any
    /// writer does must not find its own object past the end of the log.
    @Test func whatADestinationHadInFlightIsDurableForWhoeverComesFirst() throws {
        let changes: [(LSN, inout SlotState) -> Void] = [
            { end, slot in slot.levels[0].inFlight = LSN(8192)..<end },
            { end, slot in slot.levels[2].inFlight = LSN(8192)..<end },
            { end, slot in slot.segmentsStarted = LSN(8192) },
        ]
        for (index, change) in changes.enumerated() {
            let first = LogFixture()
            let log = try first.open()
            for number in 0..<50 { try log.append(sampleRecord(number, count: 200)) }
            let durable = try log.sync()
            #expect(durable > LSN(8192))
            let sidecar = try first.attachDestination { change(durable, &$0) }
            let fixture = LogFixture(first.machine.crash(choosing: DropEverything()))
            try fixture.forgetCells(ofSegments: 0..<3)
            let reader = try LogReader.open(directory: "/log", fileSystem: fixture.machine, time: SimulatedTimeSource())
            #expect(try reader.durableLSN >= (index == 2 ? LSN(8192) : durable), "\(index)")
            reader.close()
            sidecar.detach()
            try log.close()
        }
    }

    @Test func aReaderAfterAPowerFailureNeverTakesDamageForTheEnd() throws {
        let first = LogFixture()
        let log = try first.open()
        let lsns = try (0..<40).map { try log.append(sampleRecord($0, count: 200)) }
        let durable = try log.sync()
        let sidecar = try first.attachDestination { $0.archived = durable }
        for missing in [false, true] {
            let fixture = LogFixture(first.machine.crash(choosing: DropEverything()))
            try fixture.forgetCells(ofSegments: 0..<3)
            let bad = lsns[30]
            if missing {
                for index: UInt64 in 0..<3 { try fixture.machine.unlink(fixture.segment(index)) }
            } else {
                try fixture.machine.damage(fixture.segment(bad.rawValue / 4096), at: Int(bad.rawValue % 4096) + 20, xor: 1)
            }
            let reader = try LogReader.open(directory: "/log", fileSystem: fixture.machine, time: SimulatedTimeSource())
            do throws(WALError) {
                let found = try reader.durableLSN
                Issue.record("durable up to \(found)")
            } catch {
                #expect(error.isCorruption(at: missing ? .zero : bad), "\(error)")
            }
            reader.close()
        }
        sidecar.detach()
        try log.close()
    }

    /// The entries above what we make are durable too, whoever made them, and however recently.
    @Test func aDirectoryMadeJustBeforeIsThereAfterThePowerWentWithWhatWasSyncedInIt() throws {
        let first = LogFixture()
        try first.machine.makeDirectory("/log")
        let log = try first.open()
        let end = try { try log.appendAndSync([1]) }()
        try first.machine.makeDirectory("/log/slots")
        try log.pin("kept", at: end)
        let fixture = LogFixture(first.machine.crash(choosing: DropEverything()))
        let again = try fixture.open()
        #expect(try again.records().map(\.lsn) == [end])
        #expect(try again.truncateBefore(again.endLSN) == end)
        #expect(try fixture.machine.list("/log/slots") == ["kept"])
        try again.close()
        try log.close()
    }

    @Test func aMissingSegmentRefuses() throws {
        for index: UInt64 in 0..<3 {
            let fixture = LogFixture()
            try fixture.fill(100)
            try fixture.machine.unlink(fixture.segment(index))
            try fixture.expectRefusal("segment \(index)") { $0.isCorruption(at: LSN(index * 4096)) }
        }
    }

    @Test func aMissingLastSegmentIsNotAShorterLog() throws {
        let fixture = LogFixture()
        try fixture.fill(100)
        try fixture.open().close()
        try fixture.machine.unlink(fixture.segment(5))
        try fixture.expectRefusal("the last segment") { $0.isCorruption(at: LSN(5 * 4096)) }
    }

    @Test func segmentsOfOtherPlacesOrSizesRefuse() throws {
        func broken(_ body: (LogFixture, LogFixture) throws -> Void) throws -> LogFixture {
            let fixture = LogFixture()
            try fixture.fill()
            let other = LogFixture(fixture.machine, directory: "/other")
            try other.fill()
            try body(fixture, other)
            return fixture
        }
        try broken { log, other in
            try log.machine.rename(other.segment(1), to: log.segment(1))
        }.expectRefusal("foreign") { $0.isCorruption(at: LSN(4096)) }
        try broken { log, _ in
            try log.machine.rename(log.segment(0), to: log.path("x.tmp"))
            try log.machine.rename(log.segment(1), to: log.segment(0))
            try log.machine.rename(log.path("x.tmp"), to: log.segment(1))
        }.expectRefusal("swapped") { $0.isCorruption }
        try broken { log, _ in
            let file = try log.machine.open(log.segment(2), .readWrite)
            defer { file.close() }
            try file.truncate(to: 5000)
        }.expectRefusal("short") { $0.isCorruption(at: LSN(2 * 4096)) }
        try broken { log, _ in try log.write([0], log.segment(2), at: 9000) }
            .expectRefusal("long") { $0.isCorruption(at: LSN(2 * 4096)) }
    }

    @Test func oneDamagedCopyOfTheFactsIsMendedAndTwoRefuse() throws {
        for page in 1...2 {
            let fixture = LogFixture()
            let lsns = try fixture.fill()
            let log = try fixture.open()
            try log.truncateBefore(lsns[30])
            try log.close()
            try fixture.machine.damage(fixture.path("control"), at: page * 4096 + 40, xor: 1)
            let again = try fixture.open()
            #expect(again.headLSN == lsns[30])
            try again.close()
            // It was written anew: the other may go now.
            try fixture.machine.damage(fixture.path("control"), at: (3 - page) * 4096 + 40, xor: 1)
            let third = try fixture.open()
            #expect(third.headLSN == lsns[30])
            try third.close()
            for page in 1...2 { try fixture.machine.damage(fixture.path("control"), at: page * 4096 + 40, xor: 1) }
            try fixture.expectRefusal("both copies") { $0.isCorruption }
        }
    }

    @Test func aRefusedOpeningDoesNotMendOrRaiseAnything() throws {
        let fixture = LogFixture()
        try fixture.fill()
        try fixture.machine.damage(fixture.path("control"), at: 4096 + 40, xor: 1)
        try fixture.machine.unlink(fixture.segment(1))
        try fixture.expectRefusal("one copy damaged, a segment missing", .init(maxRecordSize: 1 << 29)) { $0.isCorruption }
    }

    @Test func aStrangersDirectoryIsLeftAlone() throws {
        let cases: [(String, [String: [UInt8]])] = [
            ("a text called control", ["control": Array("hello".utf8), "lock": Array("mine".utf8)]),
            ("a page called control", ["control": [UInt8](repeating: 7, count: 16384), "lock": Array("mine".utf8)]),
            ("an empty control", ["control": [], "lock": Array("mine".utf8)]),
            ("no control, other files", ["data": [1, 2, 3]]),
            ("segments without control", ["00000000000000000000.wal": [1]]),
        ]
        for (what, files) in cases {
            let machine = SimulatedFileSystem()
            try machine.makeDirectory("/log")
            for (name, bytes) in files { try machine.create("/log/" + name, bytes) }
            #expect(throws: WALError.self, "\(what)") { _ = try LogFixture(machine).open() }
            #expect(throws: WALError.self, "\(what)") { _ = try LogReader.open(directory: "/log", fileSystem: machine, time: SimulatedTimeSource()) }
            #expect(Set(try machine.list("/log")) == Set(files.keys), "\(what)")
            for (name, bytes) in files { #expect(try machine.contents("/log/" + name) == bytes, "\(what)") }
        }
    }

    @Test func theLivePageOfAnotherBootIsNotBelieved() throws {
        let first = LogFixture()
        let lsns = try first.fill()
        let fixture = LogFixture(first.machine.crash(choosing: KeepEverything()))
        // Durable far beyond what is there.
        try fixture.machine.damage(fixture.path("control"), at: 3 * 4096 + 8 + 4, xor: 1)
        let log = try fixture.open()
        #expect(try log.records().map(\.lsn) == lsns)
        try log.close()
    }

    @Test func headsOnBoundariesAndBelowTheFirstSegment() throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        for _ in 0..<32 { try log.append(sampleRecord(1, count: 1016)) }
        let end = try log.sync()
        #expect(end == LSN(32 * 1024))
        #expect(try log.truncateBefore(LSN(4 * 4096)) == LSN(4 * 4096))
        try log.close()
        let again = try fixture.open()
        #expect(try again.records().count == 16)
        #expect(try again.truncateBefore(end) == end)
        #expect(again.isEmpty)
        try again.close()
        let empty = try fixture.open()
        #expect(empty.headLSN == end && empty.isEmpty)
        #expect(try empty.append([1]) == end)
        try empty.close()
        let lsns = try LogFixture(SimulatedFileSystem()).fill()
        let below = LogFixture()
        try below.fill()
        let cut = try below.open()
        try cut.truncateBefore(lsns[45])
        try cut.close()
        try below.machine.unlink(below.segment(lsns[45].rawValue / 4096))
        try below.expectRefusal("the head's segment is gone") { $0.isCorruption }
    }

    /// Facts as an interrupted truncation of the end leaves them.
    @Test func aLeftoverTruncationIsFinished() throws {
        for keptInBoot in [true, false] {
            for position in [10, 20, 39] {
                let first = LogFixture()
                let lsns = try first.fill(100)
                let fixture = keptInBoot ? first : LogFixture(first.machine.crash(choosing: DropEverything()))
                let control = try ControlFile.open(LogPaths(directory: "/log"), fixture.machine, writable: true)
                var facts = try control.requireFacts()
                var epochs = try control.epochTable(facts)
                epochs.begin(Epoch(number: 2, id: EpochID(rawValue: 99), start: lsns[position]))
                facts.floor = lsns[position]
                facts.discardFrom = lsns[position]
                _ = try control.writeFacts(facts, epochs: epochs)
                control.close()
                let log = try fixture.open()
                #expect(log.endLSN == lsns[position] && log.epochs.current.number == 2)
                #expect(log.recoveryReport.discardReason == .interruptedTruncation)
                #expect(try log.append([1]) == lsns[position])
                try log.close()
                let again = try fixture.open()
                #expect(try again.records().map(\.lsn) == Array(lsns[...position]))
                #expect(again.recoveryReport.discardReason == nil)
                try again.close()
            }
        }
    }

    /// Facts that no writer of ours leaves, but that mean something all the same: the log ends at discardFrom at most, and where it ends before that.
    @Test func discardFromBeyondTheEndOrBelowTheFloorEndsTheLogWhereBothAllow() throws {
        for (floor, discard, expected) in [(10, 70, 50), (10, 30, 30), (40, 20, 20), (50, 50, 50)] {
            for keptInBoot in [true, false] {
                for isCopied in [false, true] {
                    let first = LogFixture()
                    let lsns = try first.fill(50) + [LSN(50 * 208)]
                    var fixture = keptInBoot ? first : LogFixture(first.machine.crash(choosing: DropEverything()))
                    let control = try ControlFile.open(LogPaths(directory: "/log"), fixture.machine, writable: true)
                    var facts = try control.requireFacts()
                    let cut = discard < 50 ? lsns[discard] : LSN(UInt64(discard) * 208)
                    facts.floor = lsns[floor]
                    facts.discardFrom = cut
                    _ = try control.writeFacts(facts, epochs: try control.epochTable(facts))
                    control.close()
                    if isCopied { fixture = try fixture.copy(to: "/copy") }
                    let before = try fixture.contents()
                    let name: Comment = "floor \(floor), discard from \(discard), same boot \(keptInBoot), copied \(isCopied)"
                    let reader = try LogReader.open(directory: fixture.directory, fileSystem: fixture.machine, time: SimulatedTimeSource())
                    #expect(try reader.durableLSN <= cut, name)
                    reader.close()
                    let log = try fixture.open()
                    #expect(log.isReplica == isCopied && log.endLSN == lsns[expected], name)
                    #expect(try log.records().map(\.lsn) == Array(lsns[..<expected]), name)
                    try log.close()
                    if isCopied {
                        #expect(try fixture.contents() == before, name)
                    } else {
                        let again = try fixture.open()
                        #expect(again.endLSN == lsns[expected] && again.recoveryReport.discardReason == nil, name)
                        #expect(try again.append([1]) == lsns[expected])
                        try again.close()
                    }
                }
            }
        }
    }

    /// The facts were written and not synced when their writer was killed: they are in the page cache, and power loss takes them back.
    @Test func factsThatAreInThePageCacheOnlyAreWrittenAgainBeforeAnythingRestsOnThem() throws {
        let fixture = LogFixture()
        let lsns = try fixture.fill(100)
        let control = try ControlFile.open(LogPaths(directory: "/log"), fixture.machine, writable: true)
        var facts = try control.requireFacts()
        facts.head = lsns[60]
        facts.generation += 1
        try control.file.write(facts.encode(), at: UInt64(Facts.page(ofGeneration: facts.generation) * 4096))
        control.close()
        let killed = LogFixture(fixture.machine.kill())
        let log = try killed.open()
        #expect(log.headLSN == lsns[60])
        #expect(try killed.machine.list("/log").allSatisfy { SegmentName(fileName: $0).map { $0.index >= lsns[60].rawValue / 4096 } ?? true })
        let crashed = LogFixture(killed.machine.crash(choosing: DropEverything()))
        let again = try crashed.open()
        #expect(try again.records().map(\.lsn) == Array(lsns[60...]))
        try again.close()
        try log.close()
    }

    @Test func aCopiedDirectoryIsAReplicaAndStaysAsItIs() throws {
        let fixture = LogFixture()
        let lsns = try fixture.fill()
        let original = try fixture.open()
        try original.truncateBefore(lsns[25])
        let copy = try fixture.copy(to: "/copy")
        let before = try copy.contents()
        let log = try copy.open()
        #expect(log.isReplica && log.headLSN == lsns[25])
        #expect(try log.records().map(\.lsn) == Array(lsns[25...]))
        let refused = WALError.stopped(cause: .replica)
        #expect(throws: refused) { try log.append([1]) }
        #expect(throws: refused) { try log.truncateBefore(lsns[40]) }
        #expect(throws: refused) { try log.pin("a", at: lsns[40]) }
        try log.close()
        let sidecar = try LogSidecar.attach(directory: "/copy", fileSystem: fixture.machine, time: SimulatedTimeSource())
        #expect(throws: refused) { try sidecar.truncateBefore(lsns[40]) }
        #expect(try sidecar.reader.iter().map { try $0.get().lsn } == Array(lsns[25...]))
        sidecar.detach()
        #expect(try copy.contents() == before)
        try original.close()
    }

    /// The live page that came with the copy speaks of the original, which went on while its files were copied.
    @Test func theLivePageOfACopyIsNotBelievedAfterItsPromotion() async throws {
        let fixture = LogFixture()
        let original = try fixture.open()
        for number in 0..<5 { try original.append(sampleRecord(number, count: 200)) }
        let end = try { try original.sync() }()
        try fixture.machine.makeDirectory("/copy")
        try fixture.machine.create("/copy/" + SegmentName(index: 0).fileName, try fixture.machine.contents(fixture.segment(0)))
        for number in 5..<10 { try original.append(sampleRecord(number, count: 200)) }
        let later = try { try original.sync() }()
        #expect(later > end)
        try fixture.machine.create("/copy/control", try fixture.machine.contents(fixture.path("control")))
        let time = SimulatedTimeSource()
        _ = try await LogPromotion.promote(directory: "/copy", fileSystem: fixture.machine, time: time) { candidate throws(WALError) in
            #expect(candidate.end == end)
            return [LogPromotion.ClaimedEpoch(number: 2, id: EpochID(rawValue: 7))]
        }
        let reader = try LogReader.open(directory: "/copy", fileSystem: fixture.machine, time: time)
        #expect(try reader.durableLSN == end)
        #expect(try reader.iter().map { try $0.get() }.count == 5)
        reader.close()
        let copy = try LogFixture(fixture.machine, directory: "/copy").open()
        #expect(copy.endLSN == end)
        #expect(try copy.append([1]) == end)
        try copy.close()
        let again = try LogFixture(fixture.machine, directory: "/copy").open(.init(verify: .full))
        #expect(try again.records().count == 6)
        try again.close()
        try original.close()
    }

    @Test func aDirectoryCopiedWhileLiveIsToldApart() throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        for number in 0..<30 { try log.append(sampleRecord(number, count: 200)) }
        try log.sync()
        // The segments first, the control file much later.
        let copy = try fixture.copy(to: "/copy")
        for number in 0..<60 { try log.append(sampleRecord(number, count: 200)) }
        try log.sync()
        try log.truncateBefore(log.durableLSN)
        try fixture.machine.unlink("/copy/control")
        try fixture.machine.create("/copy/control", try fixture.machine.contents("/log/control"))
        try log.close()
        try copy.expectRefusal("copied while live") { $0.isCopiedWhileLive }
    }

    @Test func anIOErrorIsNeverATornTail() throws {
        for call in [SimulatedCall.read, .list, .open, .fileStatus] {
            for nth in 1...12 {
                let first = LogFixture()
                let log = try first.open()
                for number in 0..<40 { try log.append(sampleRecord(number, count: 200)) }
                let end = log.endLSN
                let fixture = LogFixture(first.machine.kill())
                let before = try fixture.contents()
                fixture.machine.inject(.init(call, on: "/log*", first: nth, errno: 5))
                do {
                    let opened = try fixture.open()
                    #expect(opened.endLSN == end, "\(call) \(nth)")
                    try opened.close()
                } catch {
                    let segments = try fixture.contents().filter { $0.key.hasSuffix(".wal") }
                    #expect(segments == before.filter { $0.key.hasSuffix(".wal") } || call == .open, "\(call) \(nth)")
                }
                fixture.machine.removeFaults()
                let again = try fixture.open()
                #expect(again.endLSN == end, "\(call) \(nth)")
                try again.close()
                try log.close()
            }
        }
    }

    @Test func otherParametersRefuse() throws {
        let fixture = LogFixture()
        try fixture.fill()
        try fixture.expectRefusal("segment size", segmentSize: 8192) { $0.isParameterMismatch }
        try fixture.expectRefusal("maximum", .init(maxRecordSize: 10)) { $0.isParameterMismatch }
        try fixture.expectRefusal("maximum out of range", .init(maxRecordSize: 0)) { $0.isParameterMismatch }
        try fixture.expectRefusal("no segment size at all", segmentSize: 4097) { $0.isParameterMismatch }
    }

    @Test func leftoversOfACreationAreTolerated() throws {
        for names in [["control.tmp"], ["lock"], ["lock", "maintenance"], ["control.tmp", "lock", "maintenance"], ["00000000000000000000.wal.tmp"]] {
            let machine = SimulatedFileSystem()
            try machine.makeDirectory("/log")
            for name in names { try machine.create("/log/" + name, name.hasSuffix(".tmp") ? [1, 2, 3] : []) }
            let log = try LogFixture(machine).open()
            try log.appendAndSync([1])
            try log.close()
            #expect(!(try machine.list("/log").contains { $0.hasSuffix(".tmp") }), "\(names)")
        }
    }

    @Test func aRestoredLogIsReadableBeforeItWasEverOpened() throws {
        let fixture = LogFixture()
        let lsns = try fixture.fill(100)
        let log = try fixture.open()
        let reader = try LogReader.open(directory: "/log", fileSystem: fixture.machine, time: SimulatedTimeSource())
        let head = try reader.recordBoundary(atOrBelow: LSN(4096 + 300))
        let bytes = try reader.verifiedRange(head..<log.endLSN).bytes
        let mark = ReplicaMark(logID: log.logID, segmentSize: 4096, head: head, end: .everything, synced: .zero)
        guard case .writer(let writer) = try ReplicaWriter.begin(
            directory: "/restored", mark, epochs: log.epochs, fileSystem: fixture.machine, time: SimulatedTimeSource(), flushing: .synchronous)
        else { throw WALError.cancelled }
        try writer.write(bytes)
        #expect(try writer.finish() == log.endLSN)
        let restored = try LogReader.open(directory: "/restored", fileSystem: fixture.machine, time: SimulatedTimeSource())
        let expected = lsns.filter { $0 >= head }
        #expect(try restored.iter().map { try $0.get().lsn } == expected)
        restored.close()
        let replica = try LogFixture(fixture.machine, directory: "/restored").open()
        #expect(replica.isReplica && replica.headLSN == head)
        #expect(try replica.records().map(\.lsn) == expected)
        try replica.close()
        reader.close()
        try log.close()
    }

    /// The live page has no checksum: a durable LSN that is none is not believed, and one past every segment is named, at once.
    @Test func aDurableLSNThatIsNoneIsNotBelieved() throws {
        let log = LogFixture()
        try log.fill()
        let bytes = (0..<8).map { _ in UInt8.max }
        try log.write(bytes, log.path("control"), at: 3 * 4096 + UInt64(LivePage.durable))
        let opened = try log.open()
        #expect(opened.recoveryReport.end == LSN(60 * 208))
        try opened.close()
        try log.write([0, 0, 0, 0, 0, 0, 0, 64], log.path("control"), at: 3 * 4096 + UInt64(LivePage.durable))
        try log.expectRefusal("past every segment") { $0.isCorruption }
        let files = try ReaderFiles(
            paths: LogPaths(directory: log.directory), fileSystem: log.machine, time: SimulatedTimeSource(), writable: false)
        defer { files.close() }
        var found: [LogAudit.Finding] = []
        _ = try LogAudit.run(files) { found.append($0) }
        #expect(found.contains { $0.what.hasPrefix("the segment is missing, and") })
    }
}
